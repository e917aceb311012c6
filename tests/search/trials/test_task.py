"""The task's loss, told from head and labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd.search.trials.task import Labels
from keras_kd.search.trials.task import StudentOutputs
from keras_kd.search.trials.task import fitting_metrics
from keras_kd.search.trials.task import is_joined
from keras_kd.search.trials.task import labels_of
from keras_kd.search.trials.task import task_loss

SPARSE = "sparse_categorical_crossentropy"
DENSE = "categorical_crossentropy"
BINARY = "binary_crossentropy"


@pytest.mark.parametrize(
    ("kind", "outputs", "labels", "name", "from_logits"),
    [
        ("logits", (5,), (), SPARSE, True),
        ("logits", (5,), (1,), SPARSE, True),
        ("logits", (7, 5), (7,), SPARSE, True),
        ("logits", (5,), (5,), DENSE, True),
        ("probabilities", (5,), (), SPARSE, False),
        ("probabilities", (5,), (5,), DENSE, False),
        ("binary_logits", (1,), (), BINARY, True),
        ("binary_probabilities", (1,), (1,), BINARY, False),
        ("binary_logits", (4,), (4,), BINARY, True),
    ],
)
def test_the_loss_fits_head_and_labels(
    kind, outputs, labels, name, from_logits
):
    loss = task_loss(StudentOutputs((kind,), outputs), Labels(labels))
    assert loss.name == name
    assert loss.get_config()["from_logits"] is from_logits


@pytest.mark.parametrize(
    ("head", "labels", "text"),
    [
        (StudentOutputs(("logits",), (5,)), Labels(known=False), "fix `alpha`"),
        (
            StudentOutputs(("logits",), (5,)),
            Labels((4,)),
            r"batch, 4.*batch, 5",
        ),
        (
            StudentOutputs(("logits",), (5,)),
            Labels(None),
            "labels of unknown shape",
        ),
        (StudentOutputs((None,), (5,)), Labels(()), "tells no logits"),
        (StudentOutputs(("logits",) * 2, (5,)), Labels(()), "several outputs"),
    ],
    ids=["no labels", "other count", "unknown", "no head", "two outputs"],
)
def test_what_does_not_tell_is_an_error(head, labels, text):
    with pytest.raises(ValueError, match=text) as caught:
        task_loss(head, labels)
    assert "`StudentTuner` needs `loss` to be given" in str(caught.value)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return np.zeros((4, 6)), np.zeros((4, 3))


def test_labels_are_read_from_any_data():
    x, y = np.zeros((4, 6)), np.zeros((4, 3))
    pipeline = tf.data.Dataset.from_tensor_slices((x, y[:, 0])).batch(2)
    assert labels_of((x, y)) == Labels((3,))
    assert labels_of(x) == Labels(known=False)
    assert labels_of(pipeline) == Labels(())
    assert labels_of(Batches()) == Labels((3,))
    assert labels_of((x, {"a": y, "b": y})) == Labels(None)


def test_joined_data_is_told():
    packed = {"inputs": np.zeros((4, 6)), "keras_kd_teacher": {}}
    assert is_joined(packed)
    assert not is_joined(np.zeros((4, 6)))


def test_accuracy_of_one_logit_has_its_threshold_at_zero():
    (metric,) = fitting_metrics(
        ["accuracy"], StudentOutputs(("binary_logits",), (1,))
    )
    # 0.2 is the second class: its probability is 0.55.
    metric.update_state([[1.0], [0.0]], [[0.2], [-0.2]])
    assert float(metric.result()) == 1.0


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((0, 1), [["accuracy"], ["accuracy"]]),
        (("a b", "c"), {"a b": ["accuracy"], "c": ["accuracy"]}),
    ],
)
def test_one_metric_is_for_each_output(keys, expected):
    head = StudentOutputs(("logits", "logits"), (5,), keys)
    assert fitting_metrics(("accuracy",), head) == expected
    assert fitting_metrics(None, head) is None


def test_metrics_are_made_anew():
    given = keras.metrics.TopKCategoricalAccuracy(k=2, name="top2")
    made = fitting_metrics(
        ("accuracy", given), StudentOutputs(("logits",), (5,))
    )
    assert made[0] == "accuracy"
    assert made[1] is not given
    assert made[1].get_config() == given.get_config()
