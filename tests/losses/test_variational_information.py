"""Variational information, restated with the loss's own weights."""

import keras
import numpy as np
import pytest
from loss_references import check_reference
from loss_references import reference_cases
from loss_rows import Row

import keras_kd
from keras_kd.losses import VariationalInformation

RNG = np.random.default_rng(204)
TEACHER = RNG.normal(size=(6, 3, 2, 4))
STUDENT = RNG.normal(size=(6, 3, 2, 2))


def informed(teacher, student, labels, loss):
    first, second, third, spread = (
        np.asarray(w, "float64") for w in loss.weights
    )
    hidden = np.maximum(np.maximum(student @ first, 0) @ second, 0)
    variance = np.log1p(np.exp(spread)) + 1e-5
    terms = (teacher - hidden @ third) ** 2 / variance + np.log(variance)
    return terms.reshape(len(terms), -1).mean(1) / 2


CONTRACT = Row(
    VariationalInformation,
    informed,
    teacher=TEACHER,
    student=STUDENT,
    has_minimum=False,
)


@pytest.mark.parametrize("case", reference_cases("vid"))
def test_reference(case):
    hidden = case and int(case["regressor_0_weight"].shape[0])
    loss = VariationalInformation(hidden, data_format="channels_first")
    if case is not None:
        loss(case["teacher_features"], case["student_features"])
        kernels = [case[f"regressor_{i}_weight_hwio"][0, 0] for i in range(3)]
        loss.set_weights([*kernels, case["log_scale"]])
    check_reference(case, loss, "features")


def test_each_layer_has_weights_of_its_own(tmp_path):
    layers = ["one", "two"]
    loss = VariationalInformation(teacher_layer=layers, student_layer=layers)
    maps = [TEACHER, TEACHER[..., :3]]
    found = loss(maps, [STUDENT, STUDENT[..., :1]]).numpy()
    assert [w.shape[0] for w in loss.weights] == [2, 4, 4, 4, 1, 3, 3, 3]
    weights = loss.get_weights()
    parts = []
    for place, student in enumerate((STUDENT, STUDENT[..., :1])):
        part = VariationalInformation()
        part(maps[place], student)
        part.set_weights(weights[4 * place : 4 * place + 4])
        parts.append(part(maps[place], student).numpy())
    assert found == pytest.approx(sum(parts))


def test_it_is_trained_and_saved_and_no_part_of_the_student(tmp_path):
    def model(filters):
        return keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                keras.layers.Conv2D(filters, 3, name="maps"),
                keras.layers.Flatten(),
                keras.layers.Dense(2),
            ]
        )

    loss = VariationalInformation(teacher_layer="maps", student_layer="maps")
    student = model(1)
    distiller = keras_kd.Distiller(model(3), student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    before = [weight.copy() for weight in loss.get_weights()]
    distiller.fit(np.ones((8, 4, 4, 1), "float32"), verbose=0)
    after = loss.get_weights()
    assert np.abs(after[-1] - before[-1]).min() > 0
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    (restored,) = loaded.distillation_losses
    for one, other in zip(restored.get_weights(), after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert student.count_params() == model(1).count_params()


@pytest.mark.parametrize(
    "arguments", [{"hidden_channels": 0}, {"variance": 1e-6}], ids=str
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` to be"):
        VariationalInformation(**arguments)
