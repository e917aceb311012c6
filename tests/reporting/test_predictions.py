"""Predictions of a report: one pass, the right examples, the right slopes."""

import keras
import numpy as np
import pytest

from keras_kd.reporting import predictions


def linear(kernel, name, activation=None):
    """A classifier whose logits are its inputs times a matrix."""
    kernel = np.array(kernel, "float32")
    model = keras.Sequential(
        [
            keras.Input(kernel.shape[:1]),
            keras.layers.Dense(
                kernel.shape[1], use_bias=False, activation=activation
            ),
        ],
        name=name,
    )
    model.set_weights([kernel])
    return model


@pytest.fixture(scope="module")
def models():
    return {
        "teacher": linear(np.eye(2), "teacher"),
        "student": linear([[1, 0], [2, 1]], "student", "softmax"),
    }


X = np.array([[3, 0], [0, 3], [0, 1], [9, 9]], "float32")
Y = np.array([0, 1, 1, -1])
WEIGHTS = np.array([1, 1, 1, 0])


@pytest.fixture(scope="module")
def found(models):
    return predictions.predict(models, (X, Y, WEIGHTS), "student")


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(-1, keepdims=True)


def test_choices_and_confidences_are_the_models(found):
    assert found.num_classes == 2
    assert found.choices["teacher"].tolist() == [0, 1, 1]
    assert found.choices["student"].tolist() == [0, 0, 0]
    expected = softmax(X[:3] @ np.array([[1, 0], [2, 1]])).max(-1)
    assert found.confidences["student"] == pytest.approx(expected)


def test_examples_of_weight_0_do_not_count(found):
    assert found.labels.tolist() == [0, 1, 1]
    assert [one.index for one in found.disagreements] == [1, 2]


def test_the_worst_disagreement_comes_first(found):
    worst = found.disagreements[0]
    teacher, student = softmax([0.0, 3.0]), softmax([6.0, 3.0])
    assert worst.distance == pytest.approx(teacher[1] - student[1])
    assert worst.teacher == pytest.approx(teacher)
    assert worst.student == pytest.approx(student)
    assert (worst.x.tolist(), worst.label) == ([0, 3], 1)


def test_batches_do_not_change_what_is_found(models, found):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((X, Y, WEIGHTS)).batch(1)
    again = predictions.predict(models, data, "student")
    assert [one.index for one in again.disagreements] == [1, 2]
    assert again.labels.tolist() == found.labels.tolist()


def test_data_without_labels_shows_disagreements(models):
    unlabelled = predictions.predict(models, X, "student")
    assert unlabelled.labels is None
    assert [one.index for one in unlabelled.disagreements] == [1, 3, 2]


def test_rows_of_probabilities_are_labels(models):
    rows = np.eye(2)[[0, 1, 1, 0]]
    labelled = predictions.predict(models, (X, rows), "student")
    assert labelled.labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("y", "received"),
    [([0, 1, 2, 0], "=2"), ([[0, 1, 1]] * 4, r"=\(4, 3\)")],
    ids=["class", "shape"],
)
def test_other_labels_are_refused(models, y, received):
    with pytest.raises(ValueError, match=received):
        predictions.predict(models, (X, np.array(y)), "student")


def test_a_regression_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="'teacher', which returns numbers"):
        predictions.predict(
            {"teacher": model, "student": model}, X, "student", "numbers"
        )


def test_models_of_other_classes_are_refused(models):
    other = linear(np.ones((2, 3)), "other")
    with pytest.raises(ValueError, match="of the same classes"):
        predictions.predict(
            {"teacher": models["teacher"], "other": other}, X, "other"
        )


def test_saliency_is_the_share_of_each_input_in_the_logit(models):
    # logit = kernel[:, choice] . x, so each input's part is their product.
    (heat,) = predictions.saliency(models["teacher"], X, np.array([0, 1, 1, 0]))
    assert heat.tolist() == [[3, 0], [0, 3], [0, 1], [9, 0]]


def test_integers_have_no_saliency():
    model = keras.Sequential(
        [
            keras.Input((3,), dtype="int32"),
            keras.layers.Embedding(5, 4),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    tokens = np.ones((1, 3), "int32")
    assert predictions.saliency(model, tokens, np.array([0])) == [None]
