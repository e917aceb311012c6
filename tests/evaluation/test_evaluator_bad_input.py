"""Bad input to `evaluate`: a clear error that says what to do."""

import keras
import numpy as np
import pytest

from keras_kd import evaluate

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(70, 6, 6, 1)).astype("float32")


def _model(activation=None, units=4):
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation),
        ]
    )


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    (folder / "cut.keras").write_bytes(b"PK\x03\x04 cut")
    (folder / "cut.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3 cut")
    (folder / "text.tflite").write_text("text")
    (folder / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n cut")
    (folder / "empty").mkdir()
    (folder / "damaged").mkdir()
    (folder / "damaged" / "saved_model.pb").write_bytes(b"not a graph")
    unsafe = keras.Sequential(
        [keras.Input((2,)), keras.layers.Lambda(lambda x: x)]
    )
    unsafe.save(folder / "unsafe.keras")
    return folder


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("cut.keras", "is not a whole `.keras` file.*truncated"),
        ("unsafe.keras", "holds a `Lambda` layer.*if you trust the file"),
        ("cut.tflite", r"cut\.tflite"),
        ("text.tflite", r"text\.tflite"),
        ("weights.h5", "is an HDF5 file.*Convert it once, in Python"),
        ("empty", "It holds no `saved_model.pb`"),
        ("damaged", "a whole SavedModel folder.*TensorFlow says"),
        ("cut.kera", r"existing file or folder.*Did you mean 'cut\.keras'"),
    ],
)
@pytest.mark.parametrize("role", ["model", "teacher"])
def test_bad_paths(odd, name, match, role):
    good = _model()
    pair = (odd / name, None) if role == "model" else (good, odd / name)
    with pytest.raises(ValueError, match=match) as caught:
        evaluate(pair[0], X, pair[1], latency=False)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        pytest.param(
            {"model_or_path": 3}, TypeError, "keras.Model or a path", id="type"
        ),
        pytest.param(
            {"teacher": _model(units=5)},
            ValueError,
            r"4 classes in shape \(64, 4\). Received: teacher=\(64, 5\)",
            id="teacher-classes",
        ),
        pytest.param(
            {"dataset": (X, np.full(70, 4))},
            ValueError,
            "class numbers from 0 to 3.*Received: dataset=4",
            id="labels",
        ),
        pytest.param(
            {"model_output": "scores"}, ValueError, "one of 'logits'", id="kind"
        ),
        pytest.param(
            {"model_or_path": _model("tanh")},
            ValueError,
            "Say it with `model_output='logits'`",
            id="undecidable",
        ),
        pytest.param(
            {"teacher": _model("tanh")},
            ValueError,
            "Say it with `teacher_output='logits'`",
            id="undecidable-teacher",
        ),
        pytest.param(
            {"num_threads": 0}, ValueError, "num_threads=0", id="threads"
        ),
        pytest.param(
            {"latency_runs": 0}, ValueError, "latency_runs=0", id="runs"
        ),
        pytest.param(
            {"runtime": ()},
            ValueError,
            r"`runtime` to be None, .* or several.*runtime=\(\)",
            id="no-runtime",
        ),
        pytest.param(
            {"dataset": (X[:0], X[:0, 0, 0, 0])},
            ValueError,
            "non-empty",
            id="empty",
        ),
    ],
)
def test_bad_arguments(arguments, error, match):
    given = {"model_or_path": _model(), "dataset": X, "latency": False}
    with pytest.raises(error, match=match):
        evaluate(**(given | arguments))


@pytest.mark.parametrize("output", ["logits", "numbers", "embedding"])
@pytest.mark.parametrize("role", ["model", "teacher"])
def test_the_first_example_with_an_output_that_is_not_finite(output, role):
    # Of the 70 examples, the second batch has the bad ones.
    x = {"good": X, "bad": X.copy()}
    x["bad"][[66, 68], 2, 3] = np.nan
    parts = {"model": "good", "teacher": "good"} | {role: "bad"}
    with pytest.raises(
        ValueError, match=f"`{role}` to be .*Example 66 of .*NaN in its inputs"
    ):
        evaluate(
            _model(),
            x,
            _model(),
            student_input=parts["model"],
            teacher_input=parts["teacher"],
            model_output=output,
            teacher_output=output,
            latency=False,
        )


def test_several_outputs_are_refused():
    inputs = keras.Input((2,))
    outputs = [keras.layers.Dense(2)(inputs), keras.layers.Dense(3)(inputs)]
    with pytest.raises(ValueError, match="`output` to be one of"):
        evaluate(keras.Model(inputs, outputs), np.ones((4, 2), "f"))
