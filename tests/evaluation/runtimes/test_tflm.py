"""TFLite Micro against LiteRT's reference kernels, and what it refuses."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.evaluation import runtimes
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.evaluation.runtimes import tflm
from keras_kd.evaluation.runtimes.litert import open_interpreter

pytest.importorskip("tflite_micro")
pytestmark = pytest.mark.export

KINDS = ("float32", "float16", "dynamic_range", "int8")


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(-1, 1, (50, 6, 6, 1))


@pytest.fixture(scope="module")
def files(tmp_path_factory, x):
    """A file of each kind, with a dense layer of 40 units and a gelu."""
    folder = tmp_path_factory.mktemp("tflm")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(32, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(name="pool"),
            keras.layers.Dense(40, activation="gelu", name="hidden"),
            keras.layers.Dense(3, name="logits"),
        ]
    )
    paths = {kind: folder / f"{kind}.tflite" for kind in KINDS}
    keras_kd.export.tflite_files(model, paths, x, verify=False)
    return paths


@pytest.fixture(scope="module")
def path(tmp_path_factory, x):
    """An int8 file of two inputs and two outputs that TFLite Micro runs."""
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1), name="image")
    extra = keras.Input((4,), name="extra")
    maps = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    flat = keras.layers.Flatten()(maps)
    joined = keras.layers.Concatenate()([flat, extra])
    outputs = {
        "size": keras.layers.Dense(2, name="size")(joined),
        "class": keras.layers.Dense(3, name="class")(flat),
    }
    model = keras.Model({"image": image, "extra": extra}, outputs)
    path = tmp_path_factory.mktemp("two") / "two.tflite"
    data = {"image": x, "extra": np.float32(x[:, 0, :4, 0])}
    keras_kd.export.tflite(model, path, "int8", data, verify=False)
    return path


@pytest.fixture(scope="module")
def stored():
    generator = np.random.default_rng(1)
    return {
        name: generator.integers(-128, 128, (7, *shape)).astype("int8")
        for name, shape in (("extra", (4,)), ("image", (6, 6, 1)))
    }


def test_it_equals_the_reference_kernels(path, stored):
    tensors = open_interpreter(model_path=str(path)).get_input_details()
    x = [stored["extra" if d["shape"].size == 2 else "image"] for d in tensors]
    found = runtimes.get("tflm").run(path, x)
    expected = runtimes.get("litert-reference").run(path, x)
    assert [one.shape for one in found] == [one.shape for one in expected]
    assert len({one.dtype.name for one in found}) == 1
    for one, other in zip(found, expected, strict=True):
        # Dense layers may round otherwise there, by a step.
        np.testing.assert_allclose(one, other, rtol=0, atol=1)
        assert (one == other).mean() > 0.8
        assert len(np.unique(one)) > 5


def test_values_go_in_and_come_out_by_name(path, x):
    data = {"image": x, "extra": x[:, 0, :4, 0]}
    found = LiteRTModel(path, runtime="tflm").predict(data)
    expected = LiteRTModel(path).predict(data)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        # XNNPACK rounds otherwise, by a step at most here.
        np.testing.assert_allclose(value, expected[name], atol=0.05)


@pytest.mark.parametrize(
    ("kind", "operator", "layer", "instead"),
    [
        ("float16", "DEQUANTIZE", "hidden", "instead of 'float16'"),
        ("dynamic_range", "FULLY_CONNECTED", "hidden", "'dynamic_range'"),
        *((kind, "GELU", "hidden", "hard_swish or relu6") for kind in KINDS),
    ],
)
def test_each_lacking_operator_is_named(files, kind, operator, layer, instead):
    lacking = runtimes.get("tflm").lacking(files[kind].read_bytes())
    found = [one for one in lacking if one.operator == operator]
    assert any(layer in one.layer for one in found)
    assert all(instead in one.instead and one.reason for one in found)
    assert (
        not any(
            "conv" in one.layer and one.operator == "CONV_2D" for one in lacking
        )
        or kind == "dynamic_range"
    )


def test_all_that_is_lacking_is_one_error(files):
    with pytest.raises(ValueError, match="the runtime 'tflm' has") as error:
        LiteRTModel(files["dynamic_range"], runtime="tflm")
    assert "GELU of float32" in str(error.value)
    assert "FULLY_CONNECTED of float32, int8" in str(error.value)


def test_the_arena_is_the_smallest(path):
    from tflite_micro.python.tflite_micro.runtime import Interpreter

    content = path.read_bytes()
    arena = runtimes.get("tflm").arena(content)
    assert arena.bytes >= arena.activations_bytes + arena.persistent_bytes
    # The inputs and the first layer's result are alive at once.
    assert arena.activations_bytes >= 36 + 4 + 4 * 4 * 4
    Interpreter.from_bytes(content, arena_size=arena.bytes)
    with pytest.raises(RuntimeError, match="allocate"):
        Interpreter.from_bytes(content, arena_size=arena.bytes - 16)


def test_other_runtimes_have_no_arena(path):
    assert runtimes.get("litert").arena(path.read_bytes()) is None


def test_a_file_that_crashes_the_runtime_is_an_error(path, stored):
    content = bytearray(path.read_bytes())
    content[:4] = b"\xff\xff\xff\x7f"
    session = runtimes.get("tflm").open(bytes(content))
    with pytest.raises(ValueError, match="TFLite Micro says"):
        session.check()
    session.close()
    assert runtimes.get("tflm").lacking(path.read_bytes()) == []


def test_a_truncated_file_is_refused(path, tmp_path):
    short = tmp_path / "short.tflite"
    short.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="whole LiteRT"):
        LiteRTModel(short, runtime="tflm")


@pytest.mark.parametrize("num_ended", [0, 1])
def test_a_file_that_takes_too_long_is_an_error(num_ended, path, monkeypatch):
    run, answers = tflm.Child.run, iter([True] * num_ended)

    def slow(child, job, timeout):
        return run(child, job, timeout) if next(answers, 0) else (None, "")

    monkeypatch.setattr(tflm.Child, "run", slow)
    with pytest.raises(ValueError, match="did not end within 600 seconds"):
        runtimes.get("tflm").arena(path.read_bytes())


def test_a_missing_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    with pytest.raises(ImportError, match=r"keras-kd\[micro\]"):
        LiteRTModel(path, runtime="tflm")


def test_an_unknown_runtime_has_a_nearest_name():
    with pytest.raises(ValueError, match="Did you mean 'tflm'"):
        runtimes.get("tfml")


def test_it_is_evaluated_there(path, x):
    data = {"image": x, "extra": x[:, 0, :4, 0]}
    classes = LiteRTModel(path, runtime="tflm").predict(data)["class"]
    y = {"class": classes.argmax(-1), "size": np.zeros((50, 2))}
    found = keras_kd.evaluate(
        path, (data, y), output="class", model_output="logits", runtime="tflm"
    )
    assert found.accuracy == 1.0
    arena = runtimes.get("tflm").arena(Path(path).read_bytes())
    assert found.arena_bytes == arena.bytes
    assert found.latency_ms_p50 is None


def test_it_is_evaluated_in_several(path, x):
    data = {"image": x, "extra": x[:, 0, :4, 0]}
    classes = LiteRTModel(path).predict(data)["class"].argmax(-1)
    given = (data, {"class": classes, "size": np.zeros((50, 2))})
    options = {"output": "class", "model_output": "logits", "latency_runs": 1}
    names = ("litert", "tflm")
    found = keras_kd.evaluate(path, given, runtime=names, **options)
    for name in names:
        alone = keras_kd.evaluate(path, given, runtime=name, **options)
        assert found.runtimes[name].nll == alone.nll
        assert found.runtimes[name].arena_bytes == alone.arena_bytes
    assert found.accuracy == 1.0
    assert found.arena_bytes == found.runtimes["tflm"].arena_bytes > 0
    assert found.latency_ms_p50 > 0
    assert json.loads(found.to_json())["runtimes"]["tflm"]["num_examples"] == 50


def test_only_files_have_a_runtime():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="`runtime` to be None for anything"):
        keras_kd.evaluate(model, np.ones((2, 2)), runtime="tflm")
