"""Ensembles and functions are measured by the code that measures models."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd import evaluate

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 4)).astype("float32")
Y = RNG.integers(0, 3, 70)
KERNEL = RNG.normal(size=(4, 3)).astype("float32")


def linear(kernel):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, use_bias=False)]
    )
    model.set_weights([kernel])
    return model


def test_an_ensemble_is_its_mean():
    models = [linear(KERNEL), linear(-2 * KERNEL + 1)]
    ensemble = keras_kd.teachers.Ensemble(models)
    logits = X @ (1 - KERNEL) / 2
    found = evaluate(ensemble, (X, Y), teacher=models[0], latency=False)
    assert found.accuracy == pytest.approx((logits.argmax(-1) == Y).mean())
    same = logits.argmax(-1) == (X @ KERNEL).argmax(-1)
    assert found.agreement == pytest.approx(same.mean())
    assert (found.num_params, found.size_bytes) == (24, 96)


def test_a_function_as_teacher_says_what_it_returns():
    student = linear(KERNEL)
    found = evaluate(
        student,
        X,
        teacher=lambda x: x @ (2 * KERNEL),
        teacher_output="logits",
    )
    assert found.agreement == 1.0
    with pytest.raises(ValueError, match="Say it with `teacher_output="):
        evaluate(student, X, teacher=lambda x: x @ KERNEL)


@pytest.mark.parametrize("same", [False, True])
def test_a_function_of_labels_is_measured_as_its_model(same):
    """Also if it is the teacher, which runs once for both."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, "sigmoid")(inputs))
    labels = RNG.integers(0, 2, (70, 3))

    def function(x):
        return model.predict_on_batch(x)

    how = dict.fromkeys(
        ("model_output", "teacher_output"), "binary_probabilities"
    )
    found, expected = (
        evaluate(one, (X, labels), one if same else None, latency=False, **how)
        for one in (function, model)
    )
    assert found.accuracy == pytest.approx(expected.accuracy)
    assert found.agreement == expected.agreement
    for measure in ("per_label_f1", "per_label_auc"):
        np.testing.assert_allclose(
            getattr(found, measure), getattr(expected, measure)
        )


def test_a_function_is_timed_and_has_no_size():
    found = evaluate(
        lambda x: x @ KERNEL, (X, Y), model_output="logits", latency_runs=3
    )
    assert found.latency_source == "function"
    assert found.latency_ms_p95 >= found.latency_ms_p50 > 0
    assert (found.num_params, found.size_bytes, found.flops) == (None,) * 3


@pytest.mark.parametrize("role", ["model", "teacher"])
def test_logits_said_to_be_probabilities_are_refused(role):
    models = {"model": linear(KERNEL), "teacher": linear(KERNEL)}
    models[role] = lambda x: x @ KERNEL
    match = f"`evaluate` needs `{role}_output`.* minimum .*Use 'logits'"
    with pytest.raises(ValueError, match=match):
        evaluate(
            models["model"],
            (X, Y),
            teacher=models["teacher"],
            latency=False,
            **{f"{role}_output": "probabilities"},
        )
