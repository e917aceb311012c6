"""What an output is, decided from layers, losses and earlier decisions."""

import keras
import numpy as np
import pytest

from keras_kd.core.heads import Head
from keras_kd.core.output_kinds import check_probabilities
from keras_kd.core.output_kinds import kind_of_loss
from keras_kd.core.output_kinds import loss_kinds
from keras_kd.core.output_kinds import output_keys
from keras_kd.core.output_kinds import settle
from keras_kd.core.taps import Tap
from keras_kd.core.taps import carry

LINEAR = Head("logits", linear=True)


def model(units, activation=None, *, compiled=None):
    made = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, activation)]
    )
    if compiled is not None:
        made.compile("sgd", compiled)
    return made


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        ("mse", "numbers"),
        ("mean_absolute_error", "numbers"),
        (keras.losses.Huber(), "numbers"),
        (keras.losses.mean_squared_error, "numbers"),
        ("binary_crossentropy", "binary_logits"),
        (
            keras.losses.BinaryFocalCrossentropy(from_logits=True),
            "binary_logits",
        ),
        ("sparse_categorical_crossentropy", "logits"),
        ("cosine_similarity", "embedding"),
        ("hinge", "binary_logits"),
        ("crossentropy", None),
        (lambda y, p: p, None),
        (None, None),
    ],
)
def test_a_loss_tells_what_it_trains(loss, kind):
    assert kind_of_loss(loss) == kind


@pytest.mark.parametrize(
    ("head", "units", "facts", "kind"),
    [
        (LINEAR, 3, [], "logits"),
        (LINEAR, 1, [], None),
        (LINEAR, 1, [None, "numbers"], "numbers"),
        (LINEAR, 14, ["binary_probabilities"], "binary_logits"),
        (LINEAR, 3, ["numbers", "logits"], "numbers"),
        (Head("probabilities"), 3, ["numbers"], "probabilities"),
        (Head(None), 3, ["numbers"], "numbers"),
        (Head(None), 3, ["logits"], None),
    ],
)
def test_what_layers_leave_open_is_settled(head, units, facts, kind):
    assert settle(head, units, facts).kind == kind


def test_an_earlier_decision_tells_even_what_no_layer_does():
    assert settle(Head(None), 3, [], "logits").kind == "logits"


def test_losses_of_several_outputs():
    keys = output_keys({"price": 0, "class": 0})
    assert keys == ["class", "price"] or keys == ["price", "class"]
    found = loss_kinds({"price": "mse"}, keys)
    assert found == {"price": "numbers", "class": None}
    assert loss_kinds(["mse", "mae"], [0, 1]) == {0: "numbers", 1: "numbers"}
    assert output_keys([1, 2]) == [0, 1]
    assert output_keys([1]) == output_keys(1) == [None]
    assert output_keys({"a": [1, 2], "b": 3}) == ["a", "a", "b"]


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (lambda: model(3), "logits"),
        (lambda: model(3, compiled="mse"), "numbers"),
        (lambda: model(3, "softmax", compiled="mse"), "probabilities"),
        (lambda: model(1, "sigmoid"), "binary_probabilities"),
        (lambda: model(1, compiled="mse"), "numbers"),
        (lambda: model(1, "relu", compiled="mae"), "numbers"),
        (lambda: carry(model(14, "sigmoid"), model(14)), "binary_logits"),
        (
            lambda: keras.Sequential(
                [keras.Input((4,)), keras.layers.UnitNormalization()]
            ),
            "embedding",
        ),
    ],
)
def test_a_models_outputs(made, kind):
    assert Tap(made()).kinds == [kind]


def test_one_linear_unit_is_asked_about():
    with pytest.raises(ValueError, match="a number") as error:
        Tap(model(1), subject="evaluate", role="model")
    for line in ("model_output='binary_logits'", "model_output='numbers'"):
        assert line in str(error.value)
    assert Tap(model(1), output_kind="numbers").kinds == ["numbers"]


def test_the_other_model_tells():
    tap = Tap(model(14), strict=False)
    tap.settle(like={None: "binary_probabilities"})
    assert tap.kinds == ["binary_logits"]
    assert tuple(tap.spec.logits.shape) == (None, 14, 2)


def softmax(classes):
    exponents = np.exp(np.random.default_rng(0).normal(size=(50, classes)))
    return exponents / exponents.sum(-1, keepdims=True)


def checked(values, kind="probabilities"):
    check_probabilities(
        np.asarray(values), kind, subject="Subject", argument="output"
    )


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_rounded_probabilities_pass(classes):
    exact = softmax(classes)
    checked(exact.astype("float16"))
    # The softmax of an int8 file has steps of 1/256, at most 255 of them.
    checked(np.minimum(np.round(exact * 256), 255).astype("float32") / 256)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[np.nan, 1.0]], "probabilities"),
        ([[[0.25, 0.75]], [[0, 1]]], "probabilities"),
        ([[0.9, 0.8]], "binary_probabilities"),
        ([0.1, 1.0], "binary_probabilities"),
        ([[-4.0, 7.0]], "logits"),
        ([[-4.0, 7.0]], "numbers"),
        (np.zeros((0, 3)), "probabilities"),
    ],
    ids=str,
)
def test_what_may_be_of_its_kind_passes(values, kind):
    checked(values, kind)


@pytest.mark.parametrize(
    ("values", "kind", "received"),
    [
        ([[0, 1], [-2, 3]], "probabilities", "-2, maximum 3 and sum 1,"),
        ([[0.5, 0.7]], "probabilities", "0.5, maximum 0.7 and sum 1.2,"),
        ([[[0, 1]], [[0, 0]]], "probabilities", "0, maximum 0 and sum 0,"),
        ([[0.5], [1.2]], "binary_probabilities", "1.2, maximum 1.2 "),
        ([0.5, -0.2], "binary_probabilities", "-0.2, maximum 0.5 "),
    ],
)
def test_what_contradicts_its_kind_is_shown(values, kind, received):
    with pytest.raises(ValueError, match=f"minimum {received}") as error:
        checked(values, kind)
    assert "`Subject` needs `output` to be the kind" in str(error.value)
