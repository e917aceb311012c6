"""What TFLite Micro refuses, and what is offered instead, which it runs."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd import export

pytest.importorskip("tflite_micro")
pytestmark = [pytest.mark.export, pytest.mark.slow]
layers = keras.layers
FAMILIES = [
    name
    for name in keras_kd.students.__all__
    if name not in ("shrink", "with_teacher_head")
]


def exported(student, x, folder):
    path = folder / "student.tflite"
    return export.tflite(student, path, "int8", x, verify=x, runtime="tflm")


def of(shape, *body, dtype="float32"):
    """A student of some layers, and examples of its inputs."""
    keras.utils.set_random_seed(0)
    behind = [layers.Flatten(), layers.Dense(3)]
    student = keras.Sequential(
        [keras.Input(shape, dtype=dtype), *body, *behind]
    )
    generator = np.random.default_rng(0)
    if dtype == "int32":
        return student, generator.integers(0, 9, (50, *shape)).astype(dtype)
    return student, generator.normal(size=(50, *shape)).astype(dtype)


def copies():
    """`RepeatVector` as a `Concatenate`."""
    inputs = keras.Input((4,))
    row = layers.Reshape((1, 4))(inputs)
    return keras.Model(inputs, layers.Concatenate(axis=1)([row, row, row]))


IMAGE, WORDS = (8, 8, 4), (6, 4)
# Operators that are refused, layers that have them; what is offered and runs.
REFUSED = {
    "gelu": (("GELU",), (12,), [layers.Dense(8, "gelu")]),
    "softplus": (("EXP",), (12,), [layers.Dense(8, "softplus")]),
    "selu": (("EXP", "SELECT"), (12,), [layers.Dense(8, "selu")]),
    "mish": (("EXP",), (12,), [layers.Dense(8, "mish")]),
    "squareplus": (("SQRT",), (12,), [layers.Dense(8, "squareplus")]),
    "upsampling": (("TILE",), IMAGE, [layers.UpSampling2D()]),
    "repeat": (("TILE",), (4,), [layers.RepeatVector(3)]),
    "conv3d": (("CONV_3D",), (4, 4, 4, 2), [layers.Conv3D(4, 3)]),
    "masking": (("REDUCE_ANY",), WORDS, [layers.Masking(), layers.LSTM(3)]),
    "spectrogram": (
        ("RFFT2D", "IMAG", "REAL"),
        (2000,),
        [layers.MelSpectrogram(fft_length=128, num_mel_bins=16)],
    ),
    "embedding": (("SELECT",), (6,), [layers.Embedding(10, 4)], "int32"),
}
RUN = {
    "hard_swish or relu6": [
        ((12,), [layers.Dense(8, "hard_swish")]),
        ((12,), [layers.Dense(8, "relu6")]),
    ],
    "in an activation, use elu": [((12,), [layers.Dense(8, "elu")])],
    "UpSampling2D(interpolation='bilinear')": [
        (IMAGE, [layers.UpSampling2D(interpolation="bilinear")])
    ],
    "Concatenate of copies": [((4,), [copies()])],
    "Conv2D with the depth as channels": [
        ((4, 4, 8), [layers.Conv2D(4, 3)]),
    ],
    "sequences of one length, without masks": [(WORDS, [layers.LSTM(3)])],
    "compute the spectrogram before": [((16, 16), [layers.LSTM(3)])],
    "give the model the embedded vectors": [
        (WORDS, [layers.Conv1D(4, 3), layers.GlobalMaxPooling1D()]),
    ],
}
# What has no entry above, and is wrong or refused with an open batch.
OTHERS = {
    "silu": ((12,), [layers.Dense(8, "silu")]),
    "LayerNormalization": ((12,), [layers.LayerNormalization()]),
    "GRU": (WORDS, [layers.GRU(3)]),
    "dense_of_sequences": (WORDS, [layers.Dense(5)]),
    "dilated": (IMAGE, [layers.Conv2D(4, 3, dilation_rate=2)]),
    "dilated_depthwise": (IMAGE, [layers.DepthwiseConv2D(3, dilation_rate=2)]),
    "global_max": (IMAGE, [layers.GlobalMaxPooling2D()]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_offers_what_runs(name, tmp_path):
    operators, shape, body, *dtype = REFUSED[name]
    student, x = of(shape, *body, dtype=(*dtype, "float32")[0])
    with pytest.raises(keras_kd.ExportMismatchError) as error:
        exported(student, x, tmp_path)
    message = str(error.value)
    for operator in operators:
        assert f"lacks {operator} of" in message
    assert f"`{body[0].name}`" in message
    assert any(offered in message for offered in RUN)
    assert "replace the layer" not in message


@pytest.mark.parametrize("offered", RUN)
def test_what_is_offered_runs(offered, tmp_path):
    from keras_kd.evaluation.runtimes.tflm import EQUIVALENTS

    assert any(offered in text for text in EQUIVALENTS.values())
    for shape, body in RUN[offered]:
        assert exported(*of(shape, *body), tmp_path).passed


def test_each_offer_is_for_what_is_refused():
    from keras_kd.evaluation.runtimes.tflm import EQUIVALENTS

    refused = {one for row in REFUSED.values() for one in row[0]}
    # The transformer of `test_families` has it.
    assert refused | {"CUMSUM"} == EQUIVALENTS.keys()


@pytest.mark.parametrize("name", OTHERS)
def test_others_run(name, tmp_path):
    shape, body = OTHERS[name]
    assert exported(*of(shape, *body), tmp_path).passed


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name, tmp_path):
    """Each runs; those of texts do once they are given embedded vectors."""
    is_text = name.startswith("text")
    shape = (16,) if is_text else (16, 16, 1)
    keras.utils.set_random_seed(0)
    student = getattr(keras_kd.students, name)(shape, 4, width=0.25)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(20, *shape)).astype("float32")
    path = tmp_path / "student.tflite"
    if not is_text:
        check = export.tflite(
            student, path, "int8", x, verify=False, runtime="tflm"
        )
        assert check.arena_bytes > 0
        return
    x = generator.integers(0, 50, (20, *shape)).astype("int32")
    with pytest.raises(keras_kd.ExportMismatchError) as error:
        exported(student, x, tmp_path)
    assert "give the model the embedded vectors" in str(error.value)
    assert "replace the layer" not in str(error.value)
