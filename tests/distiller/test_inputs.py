"""A teacher and a student that take different things."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from restated import log_softmax
from restated import soft_targets

import keras_kd

pytestmark = pytest.mark.eager

FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RNG = np.random.default_rng(0)
BIG = RNG.normal(size=(16, 8)).astype("float32")
SMALL = RNG.normal(size=(16, 4)).astype("float32")
Y = RNG.integers(0, 3, 16)


def model(features):
    return keras.Sequential([keras.Input((features,)), layers.Dense(3)])


def first_logs(distiller, x, y=Y, **settings):
    distiller.compile(keras.optimizers.SGD(0.0), loss=FROM_LOGITS, **settings)
    history = distiller.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    return {name: values[0] for name, values in history.history.items()}


@keras.saving.register_keras_serializable("tests")
def every_other(x):
    return x[:, ::2]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
        {"run_eagerly": True},
    ],
    ids=str,
)
def test_functions_of_x(settings):
    teacher, student = model(8), model(4)
    distiller = keras_kd.Distiller(
        teacher,
        student,
        teacher_input=lambda x: x / 255.0,
        student_input=every_other,
    )
    logs = first_logs(distiller, BIG, **settings)
    s = student(BIG[:, ::2]).numpy()
    exact = soft_targets(teacher(BIG / 255.0).numpy(), s).mean()
    assert logs["soft_targets"] == pytest.approx(exact, rel=1e-4)
    exact = -log_softmax(s)[np.arange(16), Y].mean()
    assert logs["student_loss"] == pytest.approx(exact, rel=1e-5)


def test_a_keras_layer_is_a_function():
    inputs = keras.Input((8, 8, 1))
    teacher = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(inputs)))
    small = keras.Input((4, 4, 1))
    student = keras.Model(small, layers.Dense(3)(layers.Flatten()(small)))
    pool = layers.AveragePooling2D(2)
    distiller = keras_kd.Distiller(teacher, student, student_input=pool)
    x = RNG.normal(size=(16, 8, 8, 1)).astype("float32")
    logs = first_logs(distiller, x)
    exact = soft_targets(teacher(x).numpy(), student(pool(x)).numpy()).mean()
    assert logs["soft_targets"] == pytest.approx(exact, rel=1e-4)
    assert len(distiller.weights) == 2


def test_keys_of_a_dict_are_two_modalities():
    teacher, student = model(8), model(4)
    distiller = keras_kd.Distiller(
        teacher, student, teacher_input="image", student_input="sound"
    )
    x = {"image": BIG, "sound": SMALL}
    logs = first_logs(distiller, x)
    exact = soft_targets(teacher(BIG).numpy(), student(SMALL).numpy()).mean()
    assert logs["soft_targets"] == pytest.approx(exact, rel=1e-4)
    # Data for evaluation and prediction has the form of the training data.
    np.testing.assert_allclose(
        distiller.predict(x, verbose=0), student(SMALL), atol=1e-6
    )
    np.testing.assert_allclose(distiller(x), student(SMALL), atol=1e-6)
    loss = distiller.evaluate(x, Y, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(logs["student_loss"], rel=1e-5)


def test_keys_that_the_data_does_not_have():
    make = keras_kd.Distiller(
        model(8), model(4), teacher_input="image", student_input="sound"
    )
    with pytest.raises(ValueError, match=r"`teacher_input`.*'pixels', 'sound'"):
        first_logs(make, {"pixels": BIG, "sound": SMALL})
    with pytest.raises(ValueError, match=r"`student_input`.*'image', 'audio'"):
        first_logs(make, {"image": BIG, "audio": SMALL})
    with pytest.raises(ValueError, match="x is a dict"):
        first_logs(make, BIG)
    with pytest.raises(TypeError, match="`student_input` to be a function"):
        keras_kd.Distiller(model(8), model(4), student_input=4)


def test_export_takes_the_students_own_input(tmp_path):
    distiller = keras_kd.Distiller(
        model(8), model(4), alpha=1.0, student_input=every_other
    )
    distiller.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    served = loaded.serve(SMALL).numpy()
    np.testing.assert_allclose(served, distiller.student(SMALL), rtol=1e-5)


@pytest.mark.parametrize(
    "how",
    [every_other, "small", keras.layers.Cropping1D(2)],
    ids=["function", "key", "layer"],
)
def test_registered_functions_are_saved(tmp_path, how):
    distiller = keras_kd.Distiller(
        model(8), model(4), alpha=1.0, student_input=how
    )
    distiller.save(tmp_path / "d.keras")
    loaded = keras.models.load_model(tmp_path / "d.keras")
    if callable(how):
        x = BIG if how is every_other else BIG[..., None]
        np.testing.assert_array_equal(
            loaded._inputs["student_input"](x), how(x)
        )
    else:
        assert loaded._inputs["student_input"] == how


def test_other_functions_are_refused_before_anything_is_written(tmp_path):
    def local(x):
        return x[:, ::2]

    weighty = layers.Dense(4)
    weighty.build((None, 8))
    for how in (local, lambda x: x[:, ::2], weighty):
        distiller = keras_kd.Distiller(
            model(8), model(4), alpha=1.0, student_input=how
        )
        with pytest.raises(ValueError, match="register_keras_serializable"):
            distiller.save(tmp_path / "d.keras")
        assert not list(tmp_path.iterdir())
        distiller.save_weights(tmp_path / "d.weights.h5")
        (tmp_path / "d.weights.h5").unlink()
