"""What a build cannot use is refused early, in words that help."""

import numpy as np
import pytest
import tensorflow as tf


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"dtype": "bfloat16"}, ValueError, "`dtype` to be one of 'float16'"),
        ({"top_k": 0}, ValueError, "`top_k` to be an integer of at least 1"),
        ({"top_k": 6}, ValueError, "`top_k` to be at most 5"),
        ({"views": 0}, ValueError, "`views` to be an integer of at least 1"),
        ({"views": 2}, ValueError, "`views` to be 1 without `augment`"),
        ({"augment": 3}, TypeError, r"`augment` to be a function \(x, seed\)"),
        ({"seed": -1}, ValueError, "`seed`"),
        ({"batch_size": 0}, ValueError, "`batch_size`"),
        ({"shard_size": 0}, ValueError, "`shard_size`"),
        ({"shard": (1, 1)}, ValueError, r"`shard` to be \(i, n\)"),
        ({"shard": 1}, ValueError, r"`shard` to be \(i, n\)"),
        ({"layers": ["conv"]}, ValueError, "a dict with 'logits'"),
        ({"teacher_output": None}, ValueError, "`teacher_output` to be 'log"),
        ({"teacher_output": "logit"}, ValueError, "Did you mean 'logits'"),
        ({"teacher_id": None}, ValueError, "needs `teacher_id`"),
        ({"teacher_input": 3}, TypeError, "`teacher_input`"),
        ({"teacher_input": "image"}, ValueError, "`teacher_input` is a key"),
    ],
    ids=str,
)
def test_bad_settings(settings, error, match, build, vectors):
    with pytest.raises(error, match=match):
        build(vectors, **settings)


def test_bad_teachers(build, vectors):
    with pytest.raises(TypeError, match="teachers.load"):
        build(vectors, "teacher.keras")
    with pytest.raises(ValueError, match="outputs have one shape"):
        build(vectors, lambda x: np.ones((len(x), len(x))), batch_size=60)


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        ("digits", TypeError, "`dataset` to be a batched tf.data"),
        (np.zeros((0, 4)), ValueError, "non-empty"),
        (tf.data.Dataset.range(3).repeat().batch(2), ValueError, "finite"),
        (tf.data.Dataset.range(3), ValueError, "batched"),
    ],
    ids=["text", "empty", "endless", "unbatched"],
)
def test_bad_data(data, error, match, build):
    with pytest.raises(error, match=match):
        build(data)


def test_an_unknown_layer_is_named(build, teacher, images):
    with pytest.raises(ValueError, match=r"TeacherCache.build.*conf"):
        build(images, teacher, layers=["conf"])
