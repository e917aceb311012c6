"""What every family promises."""

import inspect

import keras
import numpy as np
import pytest
from small_families import SMALL
from small_families import examples
from small_families import small
from small_families import tap

from keras_kd import Distiller
from keras_kd import students
from keras_kd.losses import SoftTargets

# The others take some seconds to build, and more to train.
QUICK = ("convnet", "mlp", "text_cnn")
FAMILIES = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK))
        for name in SMALL
    ],
)


def test_every_family_is_here():
    assert {*SMALL, "shrink", "with_teacher_head"} == set(students.__all__)


@pytest.mark.parametrize("name", SMALL)
def test_the_signature_starts_alike(name):
    parameters = inspect.signature(getattr(students, name)).parameters
    assert [*parameters][:3] == ["input_shape", "num_classes", "width"]
    assert parameters["width"].default == 1.0


@FAMILIES
def test_it_ends_in_logits(name):
    model = small(name)
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].activation is keras.activations.linear
    assert [tensor.name for tensor in model.inputs] == ["input"]
    assert model.output_shape == (None, 3)
    assert "pool" in [x.name for x in model.layers] or name == "mlp"


@FAMILIES
def test_it_trains_and_loads(name, tmp_path):
    model = small(name)
    x = examples(model)
    before = [w.numpy() for w in model.trainable_weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly: tracing 50 layers takes longer than running them once.
    model.compile("sgd", loss, run_eagerly=True)
    model.fit(x, np.arange(8) % 3, verbose=0)
    still = [
        weight.path
        for weight, old in zip(model.trainable_weights, before, strict=True)
        if weight.path.endswith(("kernel", "embeddings"))
        and np.array_equal(weight.numpy(), old)
    ]
    assert not still
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(model(x), loaded(x), rtol=1e-5, atol=1e-6)


@FAMILIES
def test_an_example_alone_gives_what_it_gives_in_a_batch(name):
    model = small(name)
    x = examples(model)
    np.testing.assert_allclose(
        model(x[3:4], training=False),
        model(x, training=False)[3:4],
        rtol=1e-4,
        atol=1e-5,
    )


@FAMILIES
def test_it_shrinks(name):
    model = small(name)
    shrunk = students.shrink(model, width=0.5)
    assert shrunk.count_params() < 0.75 * model.count_params()
    outputs = keras.ops.convert_to_numpy(shrunk(examples(model)))
    assert outputs.shape == (8, 3)
    assert np.isfinite(outputs).all()
    narrow = shrunk.get_layer(tap(name)).output.shape
    wide = model.get_layer(tap(name)).output.shape
    assert narrow[:-1] == wide[:-1]
    assert narrow[-1] == wide[-1] // 2


@FAMILIES
def test_it_is_distilled_by_logits_and_a_layer(name):
    teacher, student = small(name), small(name)
    feature = keras.distillation.FeatureDistillation(
        loss="mse", teacher_layer_name=tap(name), student_layer_name=tap(name)
    )
    distiller = Distiller(
        teacher, student, [SoftTargets(2.0), feature], alpha=1.0
    )
    distiller.compile("sgd", run_eagerly=True)
    history = distiller.fit(examples(student), verbose=0).history
    assert history["soft_targets"][0] > 0
    assert np.isfinite(history["loss"][0])
