"""Every family as every kind of file: it loads, agrees, has types and size."""

import importlib.util

import keras
import numpy as np
import pytest
from exhaustive import IS_ASKED
from exhaustive import VARIABLE
from exhaustive import rest_when_asked
from restated import four_bit_steps
from restated import four_bits
from small_families import SMALL
from small_families import examples

from keras_kd import export
from keras_kd.export.kinds import QUANTIZATIONS

pytestmark = [pytest.mark.export, pytest.mark.slow]
layers = keras.layers

# Wide enough that weights are most of a file.
WIDTHS = {
    "convnet": 3.0,
    "ds_cnn": 2.0,
    "mlp": 0.2,
    "mobilenet_v2": 0.5,
    "mobilenet_v3": 0.5,
    "resnet": 1.0,
    "shufflenet_v2": 0.5,
    "text_cnn": 1.0,
    "text_transformer": 1.0,
    "vgg": 0.25,
    "wide_resnet": 1.0,
}
# Bytes of one weight of a kernel, and of a channel: its bias and, for each
# of kernel and bias that is rounded, a scale (4) and a zero point (8).
BYTES = {
    "float32": (4, 4),
    "float16": (2, 2),
    "dynamic_range": (1, 4 + 12),
    "int8": (1, 4 + 24),
    "int16x8": (1, 8 + 24),
    "int4_weights": (0.5, 4 + 12),
}
WEIGHTS = {
    "float32": "float32",
    "float16": "float16",
    "dynamic_range": "int8",
    "int8": "int8",
    "int16x8": "int8",
    "int4_weights": "int4",
    "onnx": "float32",
}
ENDS = {"int8": "int8", "int16x8": "int16"}
# Smaller layers stay float.
LEAST_ROUNDED = 1024
# Bytes of an operator with its tensors' names, of one more that turns a
# weight to float, of a file with nothing in it.
OPERATOR, CAST, EMPTY = 500, 200, 2500


def _extra(kind):
    needs = {"int4_weights": "ai_edge_quantizer", "onnx": "tf2onnx"}.get(kind)
    return needs is None or importlib.util.find_spec(needs) is not None


# One each of images and of texts.
QUICK = ["ds_cnn", "text_transformer"]
# The kind of each family beside float32: each kind on two of them.
KINDS = {
    "convnet": "float16",
    "ds_cnn": "int16x8",
    "mlp": "int4_weights",
    "mobilenet_v2": "int8",
    "mobilenet_v3": "int16x8",
    "resnet": "int16x8",
    "shufflenet_v2": "dynamic_range",
    "text_cnn": "int4_weights",
    "text_transformer": "int8",
    "vgg": "float16",
    "wide_resnet": "dynamic_range",
}


@pytest.fixture(scope="module", params=SMALL)
def exported(request, tmp_path_factory):
    """A family's name and model, and what was exported of it."""
    keras.utils.set_random_seed(0)
    name = request.param
    model = SMALL[name][0](num_classes=3, width=WIDTHS[name])
    folder = tmp_path_factory.mktemp(name)
    paths = {
        kind: folder / f"{kind}.tflite"
        for kind in QUANTIZATIONS
        if _runs(name, kind) and _extra(kind) and not _refused(name, kind)
    }
    data = examples(model, 40)
    results = export.tflite_files(model, paths, data, verify=False)
    return name, model, data, results


def _runs(name, kind):
    return IS_ASKED or kind in ("float32", KINDS[name])


def _refused(name, kind):
    """With 16 bits the converter takes no whole numbers and no hard swish."""
    return kind == "int16x8" and name.startswith(("text_", "mobilenet_v3"))


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_litert(exported, kind, tmp_path):
    name, model, data, results = exported
    if not _runs(name, kind):
        pytest.skip(f"set {VARIABLE}=1")
    if not _extra(kind):
        pytest.skip(
            "needs ai_edge_quantizer: pip install 'keras-kd[quantizer]'"
        )
    if kind not in results:
        with pytest.raises(RuntimeError, match="int16x8"):
            export.tflite(model, tmp_path / "x.tflite", kind, data)
        return
    path = results[kind].path
    if kind == "int4_weights":
        # Random weights lose too much by rounding: it is done here, too, with
        # clips that are a percent or two beside the quantizer's.
        verified = export.verify(path, _rounded(model), data, tolerance=0.15)
    else:
        verified = export.verify(path, model, data)
    assert verified.passed
    assert verified.kind == kind
    _check_types(kind, model, verified)
    low, high = _band(kind, model, verified, results["float32"])
    whole = results["float32"].size_bytes
    assert low / whole <= verified.size_bytes / whole <= high / whole


def _rounded(model):
    """The model with kernels of 4 bits, but for its smallest layers."""
    rounded = keras.models.clone_model(model)
    rounded.set_weights(model.get_weights())
    kinds = (layers.Conv1D, layers.Conv2D, layers.Dense)
    found = [layer for layer in rounded.layers if type(layer) in kinds]
    found.sort(key=lambda layer: layer.kernel.numpy().size)
    sizes = np.cumsum([layer.kernel.numpy().size for layer in found])
    for layer, size in zip(found, sizes, strict=True):
        if size > 0.15 * sizes[-1]:
            kernel, *bias = layer.get_weights()
            step = four_bit_steps(kernel)
            layer.set_weights([four_bits(kernel, step), *bias])
    return rounded


def _kernels(model):
    return [weight for weight in model.get_weights() if weight.ndim > 1]


def _check_types(kind, model, result):
    """Inputs, outputs, and of the weights those of larger kernels."""
    end = ENDS.get(kind, "float32")
    real = "float" in model.inputs[0].dtype
    assert result.input_dtype == (end if real else "int32")
    assert result.output_dtype == end
    kernels = [kernel.size for kernel in _kernels(model)]
    large = [size for size in kernels if size >= LEAST_ROUNDED]
    rounded = result.weight_dtypes[WEIGHTS[kind]]
    if kind == "int4_weights":
        # The smallest and depthwise kernels have 8; embeddings stay float.
        assert rounded >= 0.6 * sum(kernels)
        assert rounded + result.weight_dtypes["int8"] >= 0.9 * sum(large)
    else:
        assert rounded >= sum(large if kind == "dynamic_range" else kernels)


def _band(kind, model, result, base):
    """Bytes between the bare kernels' and those with all that goes along."""
    weight, channel = BYTES[kind]
    kernels = _kernels(model)
    total = sum(kernel.size for kernel in kernels)
    kept = 0
    if kind in ("dynamic_range", "int4_weights"):
        kept = 4 * result.weight_dtypes.get("float32", 0)
    if kind == "int4_weights":
        kept += (1 - weight) * result.weight_dtypes["int8"]
    channels = sum(_channels(kernel) for kernel in kernels)
    operators = sum(base.operators.values())
    casts = sum(result.operators.values()) - operators + len(kernels)
    around = EMPTY + OPERATOR * operators + CAST * max(casts, 0)
    high = weight * total + kept + channel * channels + around
    return weight * total, high


def _channels(kernel):
    """Output channels; a depthwise kernel ends in (channels, 1)."""
    return max(kernel.shape[-1], kernel.shape[-2] * (kernel.shape[-1] == 1))


@pytest.mark.parametrize(
    "exported", rest_when_asked(SMALL, QUICK), indirect=True
)
def test_saved_model(exported, tmp_path):
    _, model, data, _ = exported
    result = export.saved_model(model, tmp_path / "model", verify=data)
    assert result.passed
    stored = 4 * model.count_params()
    # A folder has the graph twice, with the names of all layers.
    assert stored < result.size_bytes < stored + 20_000 * len(model.layers)


@pytest.mark.skipif(not _extra("onnx"), reason="needs 'keras-kd[onnx]'")
@pytest.mark.parametrize(
    "exported", rest_when_asked(SMALL, QUICK), indirect=True
)
def test_onnx(exported, tmp_path):
    _, model, data, results = exported
    result = export.onnx(model, tmp_path / "x.onnx", verify=data)
    assert result.passed
    assert result.weight_dtypes.keys() == {"float32"}
    assert result.weight_dtypes["float32"] >= sum(
        kernel.size for kernel in _kernels(model)
    )
    # The same weights with another graph around them.
    assert 0.9 < result.size_bytes / results["float32"].size_bytes < 1.1
