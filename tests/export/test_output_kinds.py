"""A verification measures what the outputs are."""

import keras
import numpy as np
import pytest

import keras_kd

pytestmark = pytest.mark.export
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (64, 4)).astype("float32")


def close_landmarks():
    """Eight numbers so close together that rounding reorders them."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(
                8, bias_initializer=keras.initializers.Constant(30.0)
            ),
        ]
    )
    kernel, bias = model.get_weights()
    same = np.repeat(kernel[:, :1], 8, axis=1)
    model.set_weights([same + 1e-3 * kernel, bias])
    return model


def test_numbers_pick_no_class(tmp_path):
    model = close_landmarks()
    path = tmp_path / "student.tflite"
    with pytest.raises(keras_kd.ExportMismatchError, match="student's class"):
        keras_kd.export.tflite(model, path, "int8", calibration=X)
    model.compile("sgd", "mse")
    found = keras_kd.export.tflite(model, path, "int8", calibration=X)
    assert found.passed
    assert found.agreement is None
    assert found.max_abs_difference < 0.2 * found.output_range


def test_labels_are_decided_one_by_one(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5, "sigmoid")]
    )
    path = tmp_path / "student.tflite"
    found = keras_kd.export.tflite(model, path, "int8", calibration=X)
    file = keras_kd.evaluation.runners.open_runner(path).predict(X)
    same = (file > 0.5) == (np.asarray(model(X)) > 0.5)
    assert found.agreement == pytest.approx(same.mean())


def test_embeddings_keep_their_direction(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6),
            keras.layers.UnitNormalization(),
        ]
    )
    path = tmp_path / "student.tflite"
    found = keras_kd.export.tflite(model, path, "int8", calibration=X)
    file = keras_kd.evaluation.runners.open_runner(path).predict(X)
    cosines = (file * np.asarray(model(X))).sum(-1)
    cosines = cosines / np.linalg.norm(file, axis=-1)
    assert found.cosine == pytest.approx(cosines.mean(), abs=1e-4)
    assert found.cosine > 0.98
    assert found.agreement is None


@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
def test_a_folder_says_what_its_one_unit_is(tmp_path, loss):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", loss)
    keras_kd.export.saved_model(model, tmp_path / "student")
    labels = (X[:, 0] > 0).astype("float32")
    found = keras_kd.evaluate(tmp_path / "student", (X, labels), latency=False)
    outputs = model.predict(X, verbose=0)[:, 0]
    if loss == "mse":
        assert found.accuracy is None
        error = np.abs(outputs - labels).mean()
        assert found.mae == pytest.approx(error, rel=1e-5)
    else:
        assert found.accuracy == ((outputs > 0) == labels).mean()


def classifier(units, loss, activation=None):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, activation)]
    )
    model.compile("sgd", loss)
    return model


SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    ("units", "loss", "kind"),
    [
        (5, SPARSE, "probabilities"),
        (1, BINARY, "binary_probabilities"),
        (3, BINARY, "binary_probabilities"),
    ],
    ids=["classes", "two classes", "labels"],
)
def test_probabilities_are_put_into_the_file(units, loss, kind, tmp_path):
    model = classifier(units, loss)
    path = tmp_path / "student.tflite"
    checks = keras_kd.export.tflite(model, path, output="probabilities")
    assert checks.passed
    z = X.astype("float64") @ model.get_weights()[0] + model.get_weights()[1]
    e = np.exp(z)
    expected = 1 / (1 + 1 / e) if "binary" in kind else e / e.sum(-1)[:, None]
    runner = keras_kd.evaluation.runners.open_runner(path)
    np.testing.assert_allclose(runner.predict(X), expected, atol=1e-5)
    assert runner.kind == kind
    assert keras_kd.export.read_card(path)["output_kinds"] == [kind]
    # Later, too, the file is known to give probabilities.
    assert keras_kd.export.verify(path, model, X).max_abs_difference < 1e-5


def test_probabilities_as_bytes(tmp_path):
    model = classifier(5, SPARSE)
    path = tmp_path / "student.tflite"
    found = keras_kd.export.tflite(
        model,
        path,
        "int8",
        calibration=X,
        output="probabilities",
        output_dtype="uint8",
    )
    assert (found.kind, found.output_dtype) == ("int8", "uint8")
    [output] = keras_kd.export.read_card(path)["outputs"]
    assert (output["scale"], output["zero_point"]) == (1 / 256, 0)
    labels = np.asarray(model(X)).argmax(-1)
    measured = keras_kd.evaluate(path, (X, labels), latency=False)
    assert measured.accuracy > 0.9


def test_each_output_gets_its_own_function(tmp_path):
    x = keras.Input((4,), name="x")
    heads = {
        "kind": keras.layers.Dense(3, name="a")(x),
        "size": keras.layers.Dense(2, name="b")(x),
    }
    model = keras.Model({"x": x}, heads)
    model.compile("sgd", {"kind": SPARSE, "size": "mse"})
    path = tmp_path / "student.tflite"
    result = keras_kd.export.tflite(
        model, path, verify={"x": X}, output="probabilities"
    )
    assert result.passed
    found = keras_kd.evaluation.litert.LiteRTModel(path).predict(X)
    expected = model.predict({"x": X}, verbose=0)
    np.testing.assert_allclose(found["size"], expected["size"], atol=1e-5)
    np.testing.assert_allclose(found["kind"].sum(-1), 1, atol=1e-5)
    assert sorted(
        map(str, keras_kd.export.read_card(path)["output_kinds"])
    ) == ["numbers", "probabilities"]


@pytest.mark.parametrize(
    ("model", "arguments", "match"),
    [
        ((2, "mse"), {"output": "probabilities"}, "no classes or labels"),
        (
            (2, SPARSE, "softmax"),
            {"output": "logits"},
            "without the softmax or sigmoid",
        ),
        ((2, SPARSE), {"output": "softmax"}, "'probabilities'"),
        ((2, SPARSE), {"output_dtype": "uint8"}, "whose outputs are not int8"),
    ],
    ids=["numbers", "logits", "name", "bytes"],
)
def test_outputs_that_a_student_cannot_give(model, arguments, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        keras_kd.export.tflite(
            classifier(*model), tmp_path / "student.tflite", **arguments
        )


@pytest.mark.parametrize("units", [1, 3])
def test_the_accuracy_of_decisions(units, tmp_path):
    model = classifier(units, BINARY)
    z = X.astype("float64") @ model.get_weights()[0] + model.get_weights()[1]
    y = np.random.default_rng(0).integers(0, 2, z.shape)
    # Of labelled calibration data, the labels count too.
    found = keras_kd.export.tflite(
        model, tmp_path / "student.tflite", calibration=(X[:200], y[:200])
    )
    right = ((z > 0) == y)[:200].mean()
    assert found.accuracy == pytest.approx(right, abs=1e-9)
    assert found.student_accuracy == pytest.approx(right, abs=1e-9)
    other = keras_kd.export.verify(found.path, model, (X, y + 2.5))
    assert other.accuracy is None
