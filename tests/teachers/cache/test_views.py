"""Augmented views: teacher and student see the same picture."""

import numpy as np
import pytest
import tensorflow as tf

import keras_kd
from keras_kd.core.packed_inputs import unpack
from keras_kd.teachers.cache import views


def crop(x, seed):
    x = tf.image.stateless_random_flip_left_right(x, seed)
    x = tf.image.stateless_random_crop(x, (4, 4, 1), seed + 1)
    return x * tf.random.stateless_uniform((), seed + 2, 0.5, 1.5)


@pytest.fixture
def seen():
    """Pictures the teacher saw, by the sum that it returns for each."""
    return {}


@pytest.fixture
def watching(seen):
    def teacher(x):
        sums = x.reshape(len(x), -1) @ np.arange(1, 17, dtype="float64")
        for picture, total in zip(x, sums, strict=True):
            seen[np.float32(total)] = picture.copy()
        return np.stack([sums, -sums], -1)

    return teacher


def pictures(joined):
    for batch in joined:
        x, outputs = unpack(batch)
        yield from zip(x.numpy(), outputs["logits"].numpy(), strict=True)


@pytest.mark.parametrize("batched", [True, False], ids=["batched", "single"])
def test_teacher_and_student_see_the_same_pixels(
    batched, build, images, watching, seen
):
    cache = build(images, watching, views=3, augment=crop, shard_size=20)
    assert len(seen) == 3 * 48
    data = tf.data.Dataset.from_tensor_slices(images)
    data = cache.join(data.batch(10)) if batched else cache.join(data).batch(10)
    count = 0
    for picture, logits in pictures(data):
        np.testing.assert_array_equal(picture, seen[logits[0]])
        count += 1
    assert count == 48


@pytest.mark.slow
def test_every_view_is_shown_and_the_choice_is_seeded(build, images, watching):
    cache = build(images, watching, views=3, augment=crop)
    data = tf.data.Dataset.from_tensor_slices(images).batch(16)

    def epochs(seed):
        joined = cache.join(data, seed=seed)
        return [[z[0] for _, z in pictures(joined)] for _ in range(12)]

    first = epochs(seed=7)
    assert first == epochs(seed=7)
    assert first[0] != first[1]
    assert first != epochs(seed=8)
    shown = [len(set(example)) for example in zip(*first, strict=True)]
    assert max(shown) == 3
    assert np.mean(shown) > 2.9


def test_a_py_dataset_shows_other_views_in_other_epochs(
    build, images, watching, seen
):
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return images[16 * index : 16 * index + 16]

    joined = build(images, watching, views=3, augment=crop).join(Batches())
    one, again = joined[1], joined[1]
    np.testing.assert_array_equal(one["inputs"], again["inputs"])
    logits = one["keras_kd_teacher"]["logits"]
    for picture, value in zip(one["inputs"], logits, strict=True):
        np.testing.assert_array_equal(picture, seen[value[0]])
    joined.on_epoch_end()
    assert (joined[1]["inputs"] != one["inputs"]).any()


def test_one_augmented_view_serves_arrays_too(build, images, watching, seen):
    cache = build(images, watching, augment=crop)
    joined = cache.join(images)
    values = joined["keras_kd_teacher"]["logits"][:, 0]
    for picture, value in zip(joined["inputs"], values, strict=True):
        np.testing.assert_array_equal(picture, seen[value])


def test_arrays_would_show_one_view_for_ever(build, images, watching):
    cache = build(images, watching, views=2, augment=crop)
    with pytest.raises(ValueError, match="from_tensor_slices"):
        cache.join(images)


def test_opening_needs_the_same_augmentation(build, images, watching):
    path = build(images, watching, views=2, augment=crop).path
    cache = keras_kd.TeacherCache.open(path)
    with pytest.raises(ValueError, match="`augment` to be the function"):
        cache.join(images)
    with pytest.raises(keras_kd.StaleCacheError, match="another `augment`"):
        keras_kd.TeacherCache.open(path, augment=lambda x, seed: x)
    data = tf.data.Dataset.from_tensor_slices(images).batch(16)
    list(keras_kd.TeacherCache.open(path, augment=crop).join(data))


def test_seeds_depend_on_seed_key_and_view():
    keys = np.array([[1, 2], [3, 4], [1, 2]], "<u8")
    zero = np.zeros(3, int)
    base = views.seeds(0, keys, zero)
    assert base.dtype == np.int32
    assert base[0].tolist() == base[2].tolist() != base[1].tolist()
    assert (views.seeds(1, keys, zero) != base).any(1).all()
    assert (views.seeds(0, keys, zero + 1) != base).any(1).all()


def test_views_are_drawn_evenly():
    drawn = np.concatenate([views.draw(n, 64, 5) for n in range(-100, 100)])
    share = np.bincount(drawn, minlength=5) / len(drawn)
    np.testing.assert_allclose(share, 0.2, atol=0.01)
