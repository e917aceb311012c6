import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd import evaluate
from keras_kd.evaluation import latency
from keras_kd.evaluation.latency import litert_benchmark
from keras_kd.evaluation.runners import open_runner

pytestmark = pytest.mark.export

X = np.random.default_rng(0).uniform(size=(70, 6, 6, 1)).astype("float32")

INT8 = ("logits", "sigmoid")


def _model(activation, units, filters=3):
    keras.utils.set_random_seed(units)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(filters, 3, activation="relu", padding="same"),
            keras.layers.Flatten(),
            # The converter drops a bias that is all zeros.
            keras.layers.Dense(units, activation, bias_initializer="ones"),
        ]
    )


def _convert(model, path, *, int8=False):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([x[None]] for x in X[:20])
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tflite")
    made = {}
    for name, activation, units in (
        ("logits", None, 10),
        ("softmax", "softmax", 10),
        ("binary", None, 1),
        ("sigmoid", "sigmoid", 1),
    ):
        model = _model(activation, units)
        file = _convert(model, folder / f"{name}.tflite")
        small = folder / f"{name}_int8.tflite"
        if name in INT8:
            _convert(model, small, int8=True)
        if name == "binary":  # or the unit may be a number
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            model.compile("sgd", loss)
        made[name] = (model, file, small)
    return made


@pytest.mark.parametrize("name", ["logits", "softmax", "binary", "sigmoid"])
def test_a_file_measures_as_its_model(files, name):
    model, file, _ = files[name]
    units = model.output_shape[-1]
    labels = np.arange(70) % max(units, 2)
    expected = evaluate(model, (X, labels), latency=False)
    got = evaluate(file, (X, labels), model, latency=False)
    assert got.accuracy == expected.accuracy
    assert got.nll == pytest.approx(expected.nll, rel=1e-5)
    assert got.agreement == 1.0
    assert got.teacher_kl < 1e-8
    assert got.num_params == expected.num_params == 30 + 108 * units + units
    assert got.size_bytes == file.stat().st_size
    assert got.flops is None
    assert got.name == f"{name}.tflite"


@pytest.mark.parametrize("name", INT8)
def test_int8_files_are_read_as_real_numbers(files, name):
    model, _, small = files[name]
    labels = np.arange(70) % max(model.output_shape[-1], 2)
    expected = evaluate(model, (X, labels), latency=False)
    got = evaluate(small, (X, labels), model, latency=False)
    assert got.nll == pytest.approx(expected.nll, abs=0.03)
    assert got.teacher_kl < 0.01


def test_a_quantized_probability_of_zero_is_not_impossible(tmp_path):
    model = _model("softmax", 10)
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 100)
    small = _convert(model, tmp_path / "sure.tflite", int8=True)
    runner = open_runner(small)
    assert runner.predict(X).min() == 0.0
    # Half of a step of 1 / 256.
    assert runner.logits(X).min() == pytest.approx(np.log(1 / 512), rel=1e-5)
    runner.close()


def test_what_the_operators_do_not_tell_is_asked_for(tmp_path):
    model = _model("tanh", 4)
    file = _convert(model, tmp_path / "tanh.tflite")
    with pytest.raises(ValueError, match="Say it with `model_output='logits'`"):
        evaluate(file, X, latency=False)
    got = evaluate(file, X, model, latency=False, **_both("logits"))
    assert got.agreement == 1.0


def _both(kind):
    return {"model_output": kind, "teacher_output": kind}


def test_fixed_batch_and_folded_head(tmp_path):
    inputs = keras.Input((6, 6, 1), batch_size=1)
    x = keras.layers.Conv2D(4, 3)(inputs)
    x = keras.layers.BatchNormalization()(x)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    file = _convert(model, tmp_path / "fixed.tflite")
    labels = np.arange(10) % 4
    got = evaluate(file, (X[:10], labels), latency=False)
    raw = np.concatenate([model(row[None]).numpy() for row in X[:10]])
    assert got.accuracy == pytest.approx((raw.argmax(-1) == labels).mean())


def test_latency_falls_back_where_the_tool_is_too_coarse(files):
    got = evaluate(files["logits"][1], X[:4], latency_runs=20)
    assert 0 < got.latency_ms_p50 <= got.latency_ms_p95 < 100
    assert got.latency_source in (
        "LiteRT interpreter, 1 thread",
        "litert-benchmark, 1 thread",
    )


def test_the_tool_and_the_interpreter_agree(tmp_path, monkeypatch):
    wide = keras.Sequential(
        [
            keras.Input((64, 64, 8)),
            keras.layers.Conv2D(64, 3),
            keras.layers.Conv2D(64, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    file = _convert(wide, tmp_path / "wide.tflite")
    tool = litert_benchmark(file, 1, 15)
    assert tool is not None
    assert tool.source == "litert-benchmark, 1 thread"
    monkeypatch.setattr(latency, "litert_benchmark", lambda *_: None)
    byhand = latency.file_latency(file, 15, 1)
    assert byhand.source == "LiteRT interpreter, 1 thread"
    assert 1 / 10 < tool.p50_ms / byhand.p50_ms < 10
