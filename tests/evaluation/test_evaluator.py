import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_kd
from keras_kd import evaluate

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(70, 6, 6, 1)).astype("float32")
HEADS = {
    "logits": (None, 4),
    "probabilities": ("softmax", 4),
    "binary_logits": (None, 1),
    "binary_probabilities": ("sigmoid", 1),
}


def _model(activation=None, units=4, name="net"):
    keras.utils.set_random_seed(units)
    inputs = keras.Input((6, 6, 1), name="image")
    x = keras.layers.Conv2D(3, 3, activation="relu")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Flatten()(x)
    outputs = keras.layers.Dense(units, activation)(x)
    return keras.Model(inputs, outputs, name=name)


def _labels(units):
    return RNG.integers(0, max(units, 2), len(X))


def _expected(model, kind, labels):
    """Accuracy and nll from `model.predict`, in NumPy float64."""
    raw = model.predict(X, verbose=0).astype("float64")
    if kind.startswith("binary"):
        p = (
            raw[:, 0]
            if kind.endswith("ities")
            else 1 / (1 + np.exp(-raw[:, 0]))
        )
        p = np.stack([1 - p, p], -1)
    elif kind == "logits":
        p = np.exp(raw) / np.exp(raw).sum(-1, keepdims=True)
    else:
        p = raw
    rows = np.arange(len(p))
    return (p.argmax(-1) == labels).mean(), -np.log(p[rows, labels]).mean()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Each head as a Keras model, `.keras` file and SavedModel folder."""
    folder = tmp_path_factory.mktemp("saved")
    made = {}
    for kind, head in HEADS.items():
        model = _model(*head)
        model.save(folder / f"{kind}.keras")
        model.export(folder / kind, verbose=False)
        made[kind] = {
            "model": model,
            ".keras": folder / f"{kind}.keras",
            "SavedModel": str(folder / kind),
        }
    return made


@pytest.mark.parametrize("form", ["model", ".keras", "SavedModel"])
@pytest.mark.parametrize("kind", HEADS)
def test_every_form_and_head_gives_the_same(saved, kind, form):
    labels = _labels(HEADS[kind][1])
    model = saved[kind]["model"]
    told = {"teacher_output": kind} if kind == "binary_logits" else {}
    got = evaluate(saved[kind][form], (X, labels), model, latency=False, **told)
    accuracy, nll = _expected(model, kind, labels)
    assert got.accuracy == pytest.approx(accuracy)
    assert got.nll == pytest.approx(nll, rel=1e-5)
    assert got.agreement == 1.0
    assert got.teacher_kl == pytest.approx(0.0, abs=1e-9)
    assert got.num_examples == 70
    units = HEADS[kind][1]
    assert got.num_params == 3 * 9 + 3 + 4 * 3 + 48 * units + units
    # Convolution 16 places, 27 products; bias; dense; bias.
    counted = 2 * 16 * 27 + 48 + 2 * 48 * units + units
    assert counted <= got.flops <= counted + 200
    assert got.latency_ms_p50 is None


def test_sizes_are_of_weights_files_and_folders(saved):
    forms = saved["logits"]
    sizes = {
        form: evaluate(thing, X[:4], latency=False).size_bytes
        for form, thing in forms.items()
    }
    assert sizes["model"] == 4 * (30 + 12 + 48 * 4 + 4)
    assert sizes[".keras"] == os.path.getsize(forms[".keras"])
    assert sizes["SavedModel"] == sum(
        os.path.getsize(os.path.join(root, file))
        for root, _, files in os.walk(forms["SavedModel"])
        for file in files
    )


@pytest.mark.parametrize("form", ["model", "SavedModel"])
def test_latency_is_taken_and_says_by_what(saved, form):
    got = evaluate(saved["logits"][form], X[:8], latency_runs=5)
    assert 0 < got.latency_ms_p50 <= got.latency_ms_p95 < 1000
    assert got.latency_source.startswith("tf.function, ")


def test_no_labels_still_agree(saved):
    got = evaluate(
        saved["logits"]["model"], X, _model("softmax"), latency=False
    )
    assert got.accuracy is got.nll is got.per_class_recall is None
    assert got.agreement == 1.0
    assert got.name == "net"


def test_sample_weights_weight_as_keras_does(saved):
    model = saved["logits"]["model"]
    labels = _labels(4)
    weights = RNG.uniform(0, 2, 70).astype("float32")
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[
            "accuracy",
            keras.metrics.SparseCategoricalCrossentropy(
                from_logits=True, name="nll"
            ),
        ],
    )
    expected = model.evaluate(
        X, labels, sample_weight=weights, verbose=0, return_dict=True
    )
    dataset = tf.data.Dataset.from_tensor_slices((X, labels, weights))
    got = evaluate(model, dataset.batch(16), latency=False)
    assert got.accuracy == pytest.approx(expected["accuracy"], rel=1e-5)
    assert got.nll == pytest.approx(expected["nll"], rel=1e-5)


def test_model_and_teacher_run_once_a_batch_and_are_unchanged():
    class Counting(keras.layers.Layer):
        def build(self, shape):
            self.count = self.add_weight(
                shape=(), initializer="zeros", trainable=False
            )

        def call(self, x):
            self.count.assign_add(1.0)
            return x

    def counted():
        base = _model()
        counter = Counting()
        return keras.Model(base.inputs, counter(base.output)), counter

    (model, first), (teacher, second) = counted(), counted()
    for one in (model, teacher):
        one.layers[2].moving_mean.assign([1.0, 2.0, 3.0])
    evaluate(
        model,
        (X, _labels(4)),
        teacher,
        latency=False,
        model_output="logits",
        teacher_output="logits",
    )
    # 70 examples are two batches of 64; tracing for `flops` runs nothing.
    assert float(first.count.value) == float(second.count.value) == 2.0
    np.testing.assert_array_equal(model.layers[2].moving_mean, [1, 2, 3])


def test_sequences_of_classes_count_each_position():
    model = keras.Sequential(
        [keras.Input((None, 2)), keras.layers.Dense(3, name="head")]
    )
    x = RNG.normal(size=(9, 5, 2)).astype("float32")
    labels = RNG.integers(0, 3, (9, 5))
    got = evaluate(model, (x, labels), latency=False)
    best = model.predict(x, verbose=0).argmax(-1)
    assert got.accuracy == pytest.approx((best == labels).mean())
    assert got.num_examples == 9


def test_several_inputs_by_name():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    joined = keras.layers.Concatenate()([a, b])
    model = keras.Model({"a": a, "b": b}, keras.layers.Dense(2)(joined))
    x = {"a": np.ones((4, 2), "f"), "b": np.ones((4, 3), "f")}
    assert evaluate(model, x, model, latency=False).agreement == 1.0


def test_a_distiller_is_measured_as_its_student(saved):
    class Wrapper(keras.Model):
        def __init__(self, student):
            super().__init__()
            self.student = student

        def call(self, x):
            return self.student(x)

    student = saved["logits"]["model"]
    got = evaluate(Wrapper(student), X[:4], latency=False)
    assert got.num_params == student.count_params()


def test_operations_of_loops_are_not_counted_in_part():
    model = keras.Sequential(
        [keras.Input((5, 2)), keras.layers.LSTM(3), keras.layers.Dense(2)]
    )
    x = np.ones((4, 5, 2), "float32")
    found = evaluate(model, x, latency=False, model_output="logits")
    assert found.flops is None


def test_public_names():
    assert keras_kd.evaluate is evaluate
    assert keras_kd.Evaluation is keras_kd.evaluation.Evaluation
