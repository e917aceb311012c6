"""The quickstart's job: its data, its limits, what it says."""

import dataclasses
import io

import numpy as np
import pytest

import keras_kd
from keras_kd.core.progress import Progress
from keras_kd.jobs import starting as job
from keras_kd.jobs.starting import QuickstartSetting

pytestmark = pytest.mark.untraced


@pytest.fixture
def setting():
    return QuickstartSetting(
        "digits", labels=20, epochs=2, max_train=100, batch_size=16
    )


@pytest.fixture
def splits(setting):
    return job.load(setting)


def batches(dataset, count):
    return [x.numpy() for x, _ in dataset.take(count)]


def test_two_loads_have_one_order(setting):
    first = batches(job.load(setting).train, 5)
    second = batches(job.load(setting).train, 5)
    np.testing.assert_array_equal(first, second)


def test_few_labels_are_few_images_in_full_batches(setting, splits):
    found = batches(job.few_labels(setting, splits), 10)
    assert {len(x) for x in found} == {16}
    images = np.unique(np.concatenate(found).reshape(160, -1), axis=0)
    assert len(images) == 20


def test_few_labels_are_the_same_images_for_the_same_seed(setting):
    found = [
        batches(job.few_labels(setting, job.load(setting)), 2) for _ in "ab"
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("labels", [101, None], ids=["many", "none"])
def test_more_labels_than_images_is_an_error(setting, splits, labels):
    setting = dataclasses.replace(setting, labels=labels)
    with pytest.raises(
        ValueError,
        match=r"`labels` to be at most the 100 training images, or 'all'",
    ):
        job.few_labels(setting, splits)


def test_a_student_above_a_quarter_is_an_error(tmp_path, setting):
    setting = dataclasses.replace(setting, width=0.75)
    with pytest.raises(
        ValueError,
        match=r"at most a quarter of the teacher\. Received: width=0\.75\. "
        r"It gives 5\d%",
    ):
        job.quickstart(setting, tmp_path / "out", Progress(io.StringIO()))


def test_an_output_that_is_no_folder_is_an_error(tmp_path, setting):
    (tmp_path / "out").write_text("")
    with pytest.raises(OSError, match="Cannot write to the folder"):
        job.quickstart(setting, tmp_path / "out", Progress(io.StringIO()))


@pytest.mark.parametrize(
    "labels",
    [pytest.param(20, marks=pytest.mark.slow), None],
    ids=["few", "all"],
)
def test_students_start_alike_and_take_as_many_steps(setting, labels):
    """With all labels and alpha 0, both students end with equal weights."""
    setting = dataclasses.replace(
        setting, labels=labels, alpha=0.0, batch_size=50
    )
    splits = job.load(setting)
    shape, classes = splits.input_shape, splits.num_classes
    teacher, alone, student = (
        keras_kd.students.mlp(shape, classes, hidden=(units,))
        for units in (8, 4, 4)
    )
    student.set_weights(alone.get_weights())
    models = {"teacher": teacher, "alone": alone, "student": student}
    job.train(setting, splits, models, Progress(io.StringIO()))
    # 100 images in batches of 50 are 2 steps; two epochs.
    assert int(alone.optimizer.iterations) == 4
    pairs = zip(alone.get_weights(), student.get_weights(), strict=True)
    same = [np.allclose(a, b, atol=1e-6) for a, b in pairs]
    assert all(same) == (labels is None)


def test_the_sentences_say_what_was_done(setting, splits):
    models = {
        name: keras_kd.students.mlp((4,), 2, hidden=hidden)
        for name, hidden in {"teacher": (20,), "a": (1,), "b": (1,)}.items()
    }
    text = " ".join(job.sentences(setting, splits, models))
    # 4 * 20 + 20 + 20 * 2 + 2 and 4 * 1 + 1 + 1 * 2 + 2 parameters.
    assert "teacher 142, student 9 (6.3%)" in text
    assert "100 training and 500 test images; 14 steps" in text
    assert "learns from 20 labelled images" in text
    everything = dataclasses.replace(setting, labels=None)
    text = " ".join(job.sentences(everything, splits, models))
    assert "learn from all 100 labelled images" in text
