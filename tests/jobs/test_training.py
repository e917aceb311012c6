"""The recipe's rate and steps; what a saved file holds."""

import io
import math
import zipfile

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.core.progress import Progress
from keras_kd.jobs.training import Recipe
from keras_kd.jobs.training import save_keras
from keras_kd.jobs.training import task_of

pytestmark = pytest.mark.untraced


@pytest.fixture
def recipe():
    return Recipe(
        learning_rate=0.01,
        epochs=2,
        steps_per_epoch=3,
        progress=Progress(io.StringIO()),
    )


@pytest.fixture
def dataset(images, labels):
    return keras_kd.data.from_arrays(images[:16], labels[:16], batch_size=8)


def test_the_steps_are_counted_whatever_the_data_holds(
    recipe, dataset, student
):
    recipe.fit(student, dataset, "student")
    assert int(student.optimizer.iterations) == 6


def test_the_rate_falls_to_nothing_along_a_cosine(recipe, dataset, student):
    recipe.fit(student, dataset, "student")
    rate = student.optimizer._learning_rate
    for step in range(7):
        expected = 0.01 * (1 + math.cos(math.pi * step / 6)) / 2
        np.testing.assert_allclose(float(rate(step)), expected, atol=1e-8)


@pytest.mark.parametrize(
    ("units", "activation"),
    [(3, None), (3, "softmax"), (1, None), (1, "sigmoid")],
)
def test_the_loss_follows_the_head(units, activation):
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(units, activation)]
    )
    x = np.random.default_rng(0).normal(size=(7, 2)).astype("float32")
    y = np.arange(7) % max(units, 2)
    loss, accuracy = task_of(model)
    weights, bias = model.get_weights()
    logits = (x @ weights + bias).astype("float64")
    if units == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    outputs = model(x)
    expected = -logs[np.arange(7), y].mean()
    shaped = y if units > 1 else y[:, None]
    assert float(loss(shaped, outputs)) == pytest.approx(expected, rel=1e-5)
    accuracy.update_state(shaped, outputs)
    right = np.mean(logs.argmax(-1) == y)
    assert float(accuracy.result()) == pytest.approx(right)


def test_what_a_fit_measured_is_returned(recipe, dataset, student):
    history = recipe.fit(student, dataset, "student", validation=dataset)
    assert {len(values) for values in history.values()} == {2}
    found = student.evaluate(dataset, verbose=0, return_dict=True)
    assert history["val_accuracy"][-1] == pytest.approx(found["accuracy"])


def test_without_labels_no_loss_is_compiled(recipe, dataset, teacher, student):
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    recipe.fit(distiller, dataset.map(lambda x, y: x), "student", labels=False)
    assert int(distiller.optimizer.iterations) == 6


def test_a_saved_file_has_the_weights_and_no_optimizer(
    recipe, dataset, student, images, tmp_path
):
    recipe.fit(student, dataset, "student")
    save_keras(student, tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), student.predict(images, verbose=0)
    )
    assert not loaded.compiled
    with zipfile.ZipFile(tmp_path / "student.keras") as file:
        assert b"optimizer" not in file.read("model.weights.h5")
