"""Students of every kind of `build_student`, compiled Distillers."""

import functools

import keras
import keras_tuner
import pytest
from small_searches import dense
from small_searches import student_of
from small_searches import weights_of

from keras_kd.losses import SoftTargets
from keras_kd.search import StudentHyperModel

SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def hp():
    return keras_tuner.HyperParameters()


class Units(keras_tuner.HyperModel):
    def declare_hyperparameters(self, hp):
        hp.Int("units", 2, 8)

    def build(self, hp):
        return dense(hp.get("units"))


@pytest.mark.parametrize(
    ("build", "units", "names"),
    [
        (student_of, 8, {"width"}),
        (lambda hp: dense(hp.Int("units", 3, 9)), 3, {"units"}),
        (lambda hp, width: dense(round(8 * width)), 2, {"width"}),
        (functools.partial(student_of), 8, {"width"}),
        (Units(), 2, {"units"}),
    ],
    ids=["width", "hp", "both", "partial", "hypermodel"],
)
def test_students_come_from_functions_and_hypermodels(hp, build, units, names):
    hypermodel = StudentHyperModel(dense(16), build)
    hypermodel.declare_hyperparameters(hp)
    assert hypermodel.student(hp).count_params() == weights_of(units)
    assert set(hp.values) == names


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (dense(4), TypeError),
        ("convnet", TypeError),
        (lambda w: dense(4), ValueError),
        (lambda: dense(4), ValueError),
        (lambda hp, depth: dense(4), ValueError),
    ],
    ids=["a model", "a name", "another name", "nothing", "one too many"],
)
def test_other_things_that_build_no_student_are_refused(build, error):
    with pytest.raises(error, match="needs `build_student` to be a function"):
        StudentHyperModel(dense(16), build)


def test_a_function_that_returns_no_model_is_refused(hp):
    hypermodel = StudentHyperModel(dense(16), lambda width: width)
    with pytest.raises(TypeError, match=r"returns a keras.Model.*=0.25"):
        hypermodel.build(hp)


def test_a_student_of_other_classes_is_refused(hp):
    other = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5)])
    hypermodel = StudentHyperModel(dense(16), lambda hp: other)
    with pytest.raises(ValueError, match="the same classes"):
        hypermodel.build(hp)


def test_the_distiller_has_the_values_of_the_trial(hp):
    hp.values = {"alpha": 0.3, "temperature": 7.0, "width": 0.5}
    hypermodel = StudentHyperModel(dense(16), student_of, loss=SPARSE)
    distiller = hypermodel.build(hp)
    assert distiller.alpha == 0.3
    assert distiller.distillation_losses[0].temperature == 7.0
    assert distiller.student.count_params() == weights_of(16)
    assert distiller.compiled
    assert distiller.optimizer.built
    assert list(hp.values) == ["alpha", "temperature", "width"]


def test_without_a_loss_it_is_not_compiled_yet(hp):
    distiller = StudentHyperModel(dense(16), student_of).build(hp)
    assert not distiller.compiled


def test_without_a_task_no_loss_is_needed(hp):
    hp.Fixed("alpha", 1.0)
    distiller = StudentHyperModel(dense(16), student_of).build(hp)
    assert distiller.compiled


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        (keras.optimizers.SGD(0.25), 0.25),
        (lambda hp: keras.optimizers.SGD(hp.Fixed("rate", 0.5)), 0.5),
        ("sgd", 0.01),
    ],
    ids=["instance", "function", "name"],
)
def test_every_trial_has_an_optimizer_of_its_own(hp, optimizer, rate):
    hypermodel = StudentHyperModel(
        dense(16), student_of, loss=SPARSE, optimizer=optimizer
    )
    one, two = hypermodel.build(hp), hypermodel.build(hp)
    assert one.optimizer is not two.optimizer
    assert one.optimizer is not optimizer
    assert float(one.optimizer.learning_rate) == pytest.approx(rate)


def test_it_knows_the_layers_that_losses_read(hp):
    from toys import FeatureMSE

    hint = FeatureMSE(teacher_layer="hid.*", student_layer="hidden")
    hypermodel = StudentHyperModel(
        dense(8), student_of, losses=lambda hp: [SoftTargets(), hint]
    )
    hypermodel.build(hp)
    assert list(hypermodel.teacher_layers) == ["hidden"]


def test_a_regression_has_no_temperature_to_search(hp):
    def regressor():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])

    hypermodel = StudentHyperModel(
        regressor(), lambda hp: regressor(), loss="mse"
    )
    distiller = hypermodel.build(hp)
    assert set(hp.values) == {"alpha"}
    assert [loss.name for loss in distiller.distillation_losses] == [
        "logits_mse"
    ]
