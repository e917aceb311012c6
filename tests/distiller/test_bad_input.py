"""Bad input: a clear error, early, and nothing lost."""

import keras
import numpy as np
import pytest

import keras_kd

pytestmark = pytest.mark.eager

FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make(units=3, features=6, name="model"):
    return keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(4, "relu", name="hidden"),
            keras.layers.Dense(units, name="head"),
        ],
        name=name,
    )


def test_class_counts_that_differ():
    with pytest.raises(
        ValueError, match=r"same classes.*\(None, 5\).*\(None, 3\)"
    ):
        keras_kd.Distiller(make(5), make(3))


def test_inputs_that_differ():
    with pytest.raises(
        ValueError, match=r"same inputs.*\(None, 8\).*\(None, 6\)"
    ):
        keras_kd.Distiller(make(features=8), make(features=6))


def test_unknown_layer_offers_the_nearest():
    class Feature(keras_kd.losses.DistillationLoss):
        kind = "feature"
        reads = "layers"

    loss = Feature(teacher_layer="hiden", student_layer="hidden")
    with pytest.raises(ValueError, match=r"Did you mean 'hidden'\?"):
        keras_kd.Distiller(make(), make(), loss)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_temperature_that_is_not_positive(temperature):
    with pytest.raises(
        ValueError, match=r"`temperature` to be a finite number"
    ):
        keras_kd.Distiller(make(), make(), temperature=temperature)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_alpha_outside_zero_to_one(alpha):
    with pytest.raises(ValueError, match=r"`alpha` to be .* between 0 and 1"):
        keras_kd.Distiller(make(), make(), alpha=alpha)


def test_numbers_of_another_type():
    with pytest.raises(TypeError, match="`alpha` to be a finite number"):
        keras_kd.Distiller(make(), make(), alpha="0.9")
    with pytest.raises(TypeError, match="Wrap the function"):
        keras_kd.Distiller(make(), make(), alpha=lambda step: 0.9)


def test_temperature_together_with_losses():
    with pytest.raises(ValueError, match="Give it to the loss"):
        keras_kd.Distiller(make(), make(), "soft_targets", temperature=2.0)


def test_losses_of_another_kind():
    with pytest.raises(ValueError, match=r"Did you mean 'soft_targets'\?"):
        keras_kd.Distiller(make(), make(), "soft_target")
    with pytest.raises(TypeError, match=r"`SoftTargets\(\)`, not"):
        keras_kd.Distiller(make(), make(), keras_kd.losses.SoftTargets)
    with pytest.raises(ValueError, match="one loss or more"):
        keras_kd.Distiller(make(), make(), [])
    twice = [keras_kd.losses.SoftTargets(), keras_kd.losses.SoftTargets(2.0)]
    with pytest.raises(ValueError, match="names of their own"):
        keras_kd.Distiller(make(), make(), twice)


def test_models_of_another_type():
    with pytest.raises(TypeError, match=r"`teacher` to be a keras.Model.*load"):
        keras_kd.Distiller("teacher.keras", make())
    with pytest.raises(TypeError, match="`student` to be a keras.Model"):
        keras_kd.Distiller(make(), "student.keras")
    unbuilt = keras.Sequential([keras.layers.Dense(3)], name="new")
    with pytest.raises(ValueError, match=r"built model.*<Sequential new>"):
        keras_kd.Distiller(unbuilt, make())
    keras_kd.Distiller(make(), unbuilt)
    assert unbuilt.built


def test_no_loss_for_a_task_with_a_weight():
    distiller = keras_kd.Distiller(make(), make(), alpha=0.9)
    with pytest.raises(ValueError, match=r"needs a `loss`.*alpha=0.9"):
        distiller.compile("adam")
    keras_kd.Distiller(make(), make(), alpha=1.0).compile("adam")
    keras_kd.Distiller(make(), make(), student_loss_weight=0).compile("adam")


def test_no_labels_for_a_task_with_a_weight(rows):
    distiller = keras_kd.Distiller(make(), make())
    distiller.compile("adam", loss=FROM_LOGITS)
    with pytest.raises(ValueError, match="needs labels for `loss`"):
        distiller.fit(rows, verbose=0)


def test_no_teacher(rows, classes):
    distiller = keras_kd.Distiller(None, make())
    distiller.compile("adam", loss=FROM_LOGITS)
    with pytest.raises(ValueError, match=r"`distiller\.teacher = teacher`"):
        distiller.fit(rows, classes)
    distiller.evaluate(rows, classes, verbose=0)


@pytest.mark.parametrize("wrong", [3, -2])
@pytest.mark.parametrize("eager", [False, True])
def test_labels_out_of_range(rows, classes, wrong, eager):
    distiller = keras_kd.Distiller(make(), make())
    distiller.compile("sgd", loss=FROM_LOGITS, run_eagerly=eager)
    before = distiller.student.get_weights()
    classes[7] = wrong
    with pytest.raises(ValueError, match="labels between 0 and 2"):
        distiller.fit(rows, classes, verbose=0)
    for old, new in zip(before, distiller.student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_ignored_label_is_in_range(rows, classes):
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-1
    )
    distiller = keras_kd.Distiller(make(), make())
    distiller.compile("sgd", loss=loss)
    classes[7] = -1
    history = distiller.fit(rows, classes, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_outputs_that_do_not_correspond():
    inputs = keras.Input((6,))
    two = keras.Model(
        inputs,
        {
            "a": keras.layers.Dense(3)(inputs),
            "b": keras.layers.Dense(3)(inputs),
        },
    )
    with pytest.raises(ValueError, match=r"same outputs.*'a', 'b'"):
        keras_kd.Distiller(two, make())
    loss = keras_kd.losses.SoftTargets(output="c")
    with pytest.raises(ValueError, match=r"output='c'"):
        keras_kd.Distiller(two, two, loss)


def test_a_loss_that_averages_itself():
    class Scalar(keras_kd.losses.DistillationLoss):
        def call(self, teacher_outputs, student_outputs, labels=None):
            return keras.ops.mean(student_outputs)

    with pytest.raises(ValueError, match="Leave the averaging"):
        keras_kd.Distiller(make(), make(), Scalar())
