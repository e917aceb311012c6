"""Model kinds and data kinds the Distiller works with."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from restated import soft_targets

import keras_kd

pytestmark = pytest.mark.eager

FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.integers(0, 3, 16)


def distilled_loss(teacher, student, x):
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0))
    history = distiller.fit(x, batch_size=16, shuffle=False, verbose=0)
    return history.history["soft_targets"][0]


def test_dict_inputs_that_differ_in_keys():
    def make(names):
        inputs = {n: keras.Input((6,), name=n) for n in names}
        merged = (
            layers.Add()(list(inputs.values()))
            if len(names) > 1
            else (inputs[names[0]])
        )
        return keras.Model(inputs, layers.Dense(3)(merged))

    teacher, student = make(["left", "right"]), make(["left"])
    x = {"left": X, "right": 2 * X}
    exact = soft_targets(
        teacher(x).numpy(), student({"left": X}).numpy()
    ).mean()
    assert distilled_loss(teacher, student, x) == pytest.approx(exact, rel=1e-5)


def test_list_inputs_and_list_outputs():
    def make():
        inputs = [keras.Input((6,)), keras.Input((6,))]
        merged = layers.Concatenate()(inputs)
        return keras.Model(
            inputs, [layers.Dense(3)(merged), layers.Dense(2)(merged)]
        )

    teacher, student = make(), make()
    x = [X, X + 1]
    exact = sum(
        soft_targets(t.numpy(), s.numpy()).mean()
        for t, s in zip(teacher(x), student(x), strict=True)
    )
    assert distilled_loss(teacher, student, x) == pytest.approx(exact, rel=1e-5)


class Adapted(keras_kd.losses.DistillationLoss):
    """A feature loss with weights of its own: for tests only."""

    kind = "feature"
    reads = "layers"

    def build(self, teacher_outputs_shape, student_outputs_shape):
        self.kernel = self.add_weight(
            shape=(student_outputs_shape[-1], teacher_outputs_shape[-1]),
            name="kernel",
        )

    def call(self, teacher_outputs, student_outputs, labels=None):
        gap = teacher_outputs - keras.ops.matmul(student_outputs, self.kernel)
        return keras.ops.mean(keras.ops.square(gap), axis=-1)


def hidden_model(width):
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(width, name="hidden"), layers.Dense(3)]
    )


def test_a_losses_weights_train_and_save_with_the_distiller(tmp_path):
    teacher, student = hidden_model(9), hidden_model(4)
    loss = Adapted(teacher_layer="hidden", student_layer="hidden")
    distiller = keras_kd.Distiller(teacher, student, [loss, "soft_targets"])
    assert loss.kernel.shape == (4, 9)
    assert len(student.weights) == 4
    assert len(distiller.trainable_weights) == 5
    distiller.compile("adam", loss=FROM_LOGITS)
    before = loss.kernel.numpy()
    hidden = [m.layers[0](X).numpy() for m in (teacher, student)]
    exact = ((hidden[0] - hidden[1] @ before) ** 2).mean()
    run = {"batch_size": 16, "shuffle": False, "verbose": 0}
    history = distiller.fit(X, Y, **run)
    assert history.history["adapted"][0] == pytest.approx(exact, rel=1e-5)
    assert np.abs(loss.kernel.numpy() - before).max() > 1e-5

    with keras.saving.custom_object_scope({"Adapted": Adapted}):
        distiller.save(tmp_path / "d.keras")
        loaded = keras.models.load_model(tmp_path / "d.keras")
    np.testing.assert_array_equal(
        loaded.distillation_losses[0].kernel, loss.kernel
    )
    loaded.teacher = teacher
    for model in (distiller, loaded):
        model.fit(X, Y, **run)
    for one, other in zip(distiller.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("kind", ["tf.data", "generator"])
def test_data_kinds(kind):
    teacher, student = hidden_model(9), hidden_model(4)
    distiller = keras_kd.Distiller(teacher, student)
    distiller.compile("sgd", loss=FROM_LOGITS, metrics=["accuracy"])
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    if kind == "generator":
        batches = list(data) * 2
        data = (batch for batch in batches)
    history = distiller.fit(
        data,
        epochs=2,
        steps_per_epoch=2 if kind == "generator" else None,
        verbose=0,
    )
    assert set(history.history) == {
        "loss",
        "student_loss",
        "soft_targets",
        "accuracy",
    }


def test_it_is_the_student_for_everything_but_fit():
    teacher, student = hidden_model(9), hidden_model(4)
    distiller = keras_kd.Distiller(teacher, student)
    distiller.compile("sgd", loss=FROM_LOGITS, metrics=["accuracy"])
    student.compile("sgd", loss=FROM_LOGITS, metrics=["accuracy"])
    np.testing.assert_array_equal(distiller(X), student(X))
    np.testing.assert_array_equal(
        distiller.predict(X, verbose=0), student.predict(X, verbose=0)
    )
    assert distiller.evaluate(X, Y, verbose=0) == student.evaluate(
        X, Y, verbose=0
    )
    assert distiller.count_params() == student.count_params()


@pytest.mark.slow
@pytest.mark.eager(False)
def test_training_moves_the_student_to_the_teacher():
    keras.utils.set_random_seed(0)
    teacher, student = hidden_model(9), hidden_model(4)
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0, agreement=True)
    distiller.compile(keras.optimizers.Adam(0.05))
    logs = distiller.fit(X, epochs=80, verbose=0).history
    assert logs["soft_targets"][-1] < 0.02 * logs["soft_targets"][0]
    assert logs["agreement"][-1] == 1.0


def test_a_new_teacher_is_used_at_once():
    first, second, student = hidden_model(9), hidden_model(9), hidden_model(4)
    distiller = keras_kd.Distiller(first, student, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0))
    for teacher in (first, second):
        distiller.teacher = teacher
        logs = distiller.fit(X, batch_size=16, verbose=0).history
        exact = soft_targets(teacher(X).numpy(), student(X).numpy()).mean()
        assert logs["soft_targets"][0] == pytest.approx(exact, rel=1e-5)
    assert "teacher" not in dir(distiller)


@pytest.mark.slow
def test_backup_and_restore(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise InterruptedError

    def make():
        keras.utils.set_random_seed(0)
        distiller = keras_kd.Distiller(hidden_model(9), hidden_model(4))
        distiller.compile("adam", loss=FROM_LOGITS)
        return distiller

    run = {"epochs": 4, "shuffle": False, "verbose": 0}
    whole = make()
    whole.fit(X, Y, **run)
    for expected in (InterruptedError, None):
        part = make()
        callbacks = [keras.callbacks.BackupAndRestore(tmp_path / "backup")]
        if expected:
            with pytest.raises(expected):
                part.fit(X, Y, callbacks=[*callbacks, Stop()], **run)
        else:
            part.fit(X, Y, callbacks=callbacks, **run)
    for one, other in zip(whole.weights, part.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_file_of_version_0_1_0_loads_and_trains_on():
    keras_kd.Distiller  # noqa: B018 (importing the room registers its classes)
    path = Path(__file__).with_name("distiller_0.1.0.keras")
    distiller = keras.models.load_model(path)
    x = np.linspace(-1, 1, 40).reshape(8, 5).astype("float32")
    # What version 0.1.0 predicted when it wrote the file, after three epochs.
    expected = [0.3428414464, -0.5577192903, -0.7157120705]
    assert distiller.predict(x[:1], verbose=0)[0] == pytest.approx(expected)
    assert int(distiller.optimizer.iterations) == 3
    inputs = keras.Input((5,))
    distiller.teacher = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    history = distiller.fit(x, np.arange(8) % 3, verbose=0).history
    assert set(history) == {
        "agreement",
        "logits_mse",
        "loss",
        "soft_targets",
        "student_loss",
    }
    assert int(distiller.optimizer.iterations) == 4
