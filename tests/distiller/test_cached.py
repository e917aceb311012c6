"""Distilling from a cache is distilling from the teacher."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from restated import log_softmax

import keras_kd

pytestmark = pytest.mark.eager

FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype("float32")
Y = RNG.integers(0, 5, 40)
WEIGHTS = RNG.uniform(0, 2, 40).astype("float32")


def model(width=8, head=None):
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(width, "relu", name="hidden"),
            layers.Dense(5, head, kernel_initializer="random_normal"),
        ]
    )


class HiddenMSE(keras_kd.losses.DistillationLoss):
    kind = "feature"
    reads = "layers"

    def call(self, teacher_outputs, student_outputs, labels=None):
        gap = teacher_outputs - student_outputs
        return keras.ops.mean(keras.ops.square(gap), axis=-1)


def trained(teacher, data, losses=None, **settings):
    keras.utils.set_random_seed(1)
    distiller = keras_kd.Distiller(teacher, model(), losses, alpha=0.7)
    distiller.compile("adam", loss=FROM_LOGITS, **settings)
    history = distiller.fit(data, epochs=3, verbose=0, shuffle=False)
    return distiller.student.get_weights(), history.history


def assert_same(live, cached, tolerance=1e-6):
    for one, other in zip(live[0], cached[0], strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=0)
    for name, values in live[1].items():
        assert cached[1][name] == pytest.approx(values, rel=1e-4), name


def build(folder, teacher, **settings):
    settings = {"dtype": "float32", "verbose": 0} | settings
    return keras_kd.TeacherCache.build(folder, teacher, (X, Y), **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
        pytest.param({"steps_per_execution": 2}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_float32_gives_the_same_student(tmp_path, settings):
    teacher = model()
    cache = build(tmp_path, teacher, layers=["hidden"])
    losses = [
        keras_kd.losses.SoftTargets(2.0),
        HiddenMSE(teacher_layer="hidden", student_layer="hidden"),
    ]

    def data():
        # A new order in each epoch, the same for every run.
        tf.random.set_seed(0)
        rows = tf.data.Dataset.from_tensor_slices((X, Y, WEIGHTS))
        return rows.shuffle(40, seed=3).batch(16)

    live = trained(teacher, data(), losses, **settings)
    cached = trained(cache, cache.join(data()), losses, **settings)
    assert_same(live, cached)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(16 * index, 16 * (index + 1))
        return X[part], Y[part]


@pytest.mark.slow
def test_a_py_dataset_and_unbatched_data(tmp_path):
    teacher = model()
    cache = build(tmp_path, teacher)
    data = tf.data.Dataset.from_tensor_slices((X, Y))
    live = trained(teacher, data.batch(16))
    assert_same(live, trained(cache, cache.join(Batches())))
    assert_same(live, trained(cache, cache.join(data).batch(16)))


@pytest.mark.parametrize(
    "head", ["softmax", pytest.param("sigmoid", marks=pytest.mark.slow)]
)
def test_probability_heads(tmp_path, head):
    teacher = model(head="softmax") if head == "softmax" else model()
    if head == "sigmoid":
        teacher = keras.Sequential(
            [keras.Input((6,)), layers.Dense(1, "sigmoid")]
        )
    cache = build(tmp_path, teacher)
    data = tf.data.Dataset.from_tensor_slices(X).batch(16)
    results = []
    for given, joined in ((teacher, data), (cache, cache.join(data))):
        keras.utils.set_random_seed(1)
        student = keras.models.clone_model(teacher)
        distiller = keras_kd.Distiller(given, student, alpha=1.0)
        distiller.compile("adam")
        logs = distiller.fit(joined, epochs=3, verbose=0, shuffle=False)
        results.append((student.get_weights(), logs.history))
    assert_same(*results)


@pytest.mark.slow
@pytest.mark.parametrize("combine", ["logits", "probabilities"])
def test_an_ensemble(tmp_path, combine):
    ensemble = keras_kd.teachers.Ensemble(
        [model(), model(4, "softmax")], [1, 2], combine
    )
    losses = [
        keras_kd.losses.SoftTargets(),
        HiddenMSE(teacher_layer="0/hidden", student_layer="hidden"),
    ]
    cache = build(tmp_path, ensemble, layers=["0/hidden"])
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    live = trained(ensemble, data, losses)
    assert_same(live, trained(cache, cache.join(data), losses))


def heads(form):
    """Return a model of two inputs and two outputs."""
    left, right = keras.Input((6,), name="a left"), keras.Input((6,), name="b")
    x = layers.Dense(4, "relu")(layers.Concatenate()([left, right]))
    outputs = [layers.Dense(3, "softmax")(x), layers.Dense(5)(x)]
    if form == "dict":
        inputs = {"a left": left, "b": right}
        return keras.Model(inputs, {"z one": outputs[0], "a-2": outputs[1]})
    return keras.Model([left, right], outputs)


@pytest.mark.parametrize(
    ("form", "top_k"),
    [
        ("list", None),
        pytest.param("dict", 2, marks=pytest.mark.slow),
        pytest.param("list", 2, marks=pytest.mark.slow),
        pytest.param("dict", None, marks=pytest.mark.slow),
    ],
)
def test_several_inputs_and_outputs(tmp_path, form, top_k):
    teacher, student = heads(form), heads(form)
    x = (X, -X) if form == "list" else {"a left": X, "b": -X}
    pipeline = tf.data.Dataset.from_tensor_slices((x,)).batch(20)
    x = list(x) if form == "list" else x
    cache = keras_kd.TeacherCache.build(
        tmp_path, teacher, x, top_k=top_k, dtype="float32", verbose=0
    )
    runs = [
        (cache, cache.join(x)),
        (cache, cache.join(pipeline)),
        (None, cache.join(pipeline)),
        (teacher, pipeline),
    ]
    found = []
    for given, data in runs:
        distiller = keras_kd.Distiller(given, student, alpha=1.0)
        distiller.compile(keras.optimizers.SGD(0.0))
        logs = distiller.fit(data, batch_size=20, verbose=0).history
        found.append(logs["soft_targets"][0])
    assert found[1:3] == pytest.approx([found[0]] * 2, rel=1e-5)
    if top_k is None:
        assert found[0] == pytest.approx(found[3], rel=1e-5)


def test_a_function(tmp_path):
    kernel = RNG.normal(size=(6, 5)).astype("float32")
    teacher = keras_kd.teachers.HostTeacher(
        lambda x: np.exp(log_softmax(x @ kernel)), 5, output="probabilities"
    )
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    cache = keras_kd.TeacherCache.build(
        tmp_path, teacher, data, dtype="float32", teacher_id="kernel", verbose=0
    )
    live = trained(teacher, data)
    assert_same(live, trained(cache, cache.join(data)))


def test_float16_is_within_its_bound(tmp_path):
    """A linear student, whose loss is convex: errors do not grow.

    A logit `d` under the row's maximum is off by `d / 2048 + 3e-8` at most,
    so that the slope `T (q - p)` is off by half of the largest at most.
    """
    teacher = model()
    teacher.layers[-1].kernel.assign(40.0 * teacher.layers[-1].kernel)
    logits = teacher(X).numpy()
    error = (logits.max(-1) - logits.min(-1)).max() / 2048 + 3e-8
    rate, alpha, steps = 0.02, 0.7, 9
    cache = build(tmp_path, teacher, dtype="float16")
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    kernels = []
    for given, joined in ((teacher, data), (cache, cache.join(data))):
        keras.utils.set_random_seed(1)
        student = keras.Sequential([keras.Input((6,)), layers.Dense(5)])
        distiller = keras_kd.Distiller(given, student, alpha=alpha)
        distiller.compile(keras.optimizers.SGD(rate), loss=FROM_LOGITS)
        distiller.fit(joined, epochs=3, verbose=0, shuffle=False)
        kernels.append(student.get_weights()[0])
    gap = np.abs(kernels[0] - kernels[1]).max()
    assert 0 < gap < steps * rate * alpha * np.abs(X).max() * error / 2
    assert np.abs(kernels[0]).max() > 100 * gap


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_top_k_is_the_loss_restated(tmp_path, temperature, dtype):
    teacher, student = model(), model()
    cache = build(tmp_path, teacher, top_k=2, dtype=dtype)
    log_p = log_softmax(teacher(X).numpy().astype("float64"))
    order = np.argsort(-log_p, -1)
    top = np.take_along_axis(log_p, order[:, :2], -1)
    rest = np.log(np.exp(np.take_along_axis(log_p, order[:, 2:], -1)).sum(-1))
    kept = np.repeat(rest[:, None] - np.log(3), 5, -1)
    np.put_along_axis(kept, order[:, :2], top, -1)
    log_p = log_softmax(kept / temperature)
    log_q = log_softmax(student(X).numpy() / temperature)
    exact = temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(-1).mean()

    distiller = keras_kd.Distiller(
        cache, student, alpha=1.0, temperature=temperature
    )
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.fit(cache.join(X), batch_size=40, verbose=0).history
    tolerance = 1e-4 if dtype == "float32" else 5e-3
    assert logs["soft_targets"][0] == pytest.approx(exact, rel=tolerance)


def test_the_cache_tells_classes_and_layers_at_once(tmp_path):
    cache = build(tmp_path, model(), layers=["hidden"])
    four = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
    with pytest.raises(ValueError, match=r"same classes.*\(None, 5\)"):
        keras_kd.Distiller(cache, four)
    loss = HiddenMSE(teacher_layer="hiden", student_layer="hidden")
    with pytest.raises(ValueError, match=r"Did you mean 'hidden'\?"):
        keras_kd.Distiller(cache, model(), loss)
    distiller = keras_kd.Distiller(cache, model())
    assert distiller.teacher is cache
    distiller.compile("sgd", loss=FROM_LOGITS)
    with pytest.raises(ValueError, match=r"Train on `cache\.join\(dataset\)`"):
        distiller.fit(X, Y, verbose=0)


def test_an_example_that_is_not_stored(tmp_path):
    cache = build(tmp_path, model())
    distiller = keras_kd.Distiller(cache, model())
    distiller.compile("sgd", loss=FROM_LOGITS)
    data = tf.data.Dataset.from_tensor_slices((X + 1, Y)).batch(16)
    with pytest.raises(ValueError, match="^The teacher cache .* example 0 of"):
        distiller.fit(cache.join(data), verbose=0)


def test_a_saved_distiller_goes_on_from_the_cache(tmp_path):
    cache = build(tmp_path / "cache", model())
    data = cache.join(tf.data.Dataset.from_tensor_slices((X, Y)).batch(16))
    distiller = keras_kd.Distiller(cache, model())
    distiller.compile("adam", loss=FROM_LOGITS)
    run = {"epochs": 2, "verbose": 0, "shuffle": False}
    distiller.fit(data, **run)
    distiller.save(tmp_path / "d.keras")
    loaded = keras.models.load_model(tmp_path / "d.keras")
    for one in (distiller, loaded):
        one.fit(data, **run)
    for one, other in zip(distiller.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
