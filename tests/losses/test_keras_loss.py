"""Losses of `keras.distillation`, as they are."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd import losses

RNG = np.random.default_rng(0)
TEACHER = (4 * RNG.normal(size=(6, 5))).astype("float32")
STUDENT = (3 * RNG.normal(size=(6, 5))).astype("float32")

LOGITS = keras.distillation.LogitsDistillation
FEATURES = keras.distillation.FeatureDistillation


@pytest.mark.parametrize(
    "loss",
    [
        LOGITS(temperature=3.0, loss=keras.losses.KLDivergence()),
        LOGITS(temperature=2.0, loss="mse"),
        LOGITS(loss=keras.losses.MeanAbsoluteError()),
        FEATURES(loss="mse"),
    ],
    ids=["kl", "mse", "mae", "features"],
)
def test_mean_is_what_keras_computes(loss):
    ours = losses.get(loss)
    exact = float(loss.compute_loss(TEACHER, STUDENT))
    values = ours(TEACHER, STUDENT).numpy()
    assert values.shape == (6,)
    assert values.mean() == pytest.approx(exact, rel=1e-5)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(ours)
    )
    assert again(TEACHER, STUDENT).numpy() == pytest.approx(values)


def test_default_string_is_called_what_it_is():
    with pytest.warns(UserWarning, match="is not knowledge distillation"):
        losses.get(LOGITS(temperature=3.0))


def test_a_class_of_the_users_own_is_shared_out():
    class Custom(keras.distillation.DistillationLoss):
        def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
            return keras.ops.max(teacher_outputs - student_outputs)

    ours = losses.get(Custom())
    assert ours.uses_batch
    assert ours(TEACHER, STUDENT).numpy() == pytest.approx(
        np.full(6, (TEACHER - STUDENT).max())
    )


def test_layers_are_tapped_in_a_distiller():
    def make():
        return keras.Sequential(
            [
                keras.Input((5,)),
                keras.layers.Dense(4, "relu", name="hidden"),
                keras.layers.Dense(3),
            ]
        )

    teacher, student = make(), make()
    loss = FEATURES(teacher_layer_name="hidden", student_layer_name="hidden")
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.train_on_batch(TEACHER, return_dict=True)
    hidden = [np.array(m.layers[0](TEACHER)) for m in (teacher, student)]
    assert logs["feature_distillation"] == pytest.approx(
        ((hidden[0] - hidden[1]) ** 2).mean(), rel=1e-5
    )
