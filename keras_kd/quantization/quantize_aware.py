"""Makes a student that trains with the arithmetic of its int8 file."""

import sys
import warnings
from typing import Any

import keras

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.core.graphs import is_graph
from keras_kd.core.keras_internals import flatten_layers
from keras_kd.core.layer_paths import walk
from keras_kd.core.taps import carry
from keras_kd.quantization.fixed import is_quantize_aware
from keras_kd.quantization.layers.weighted import QuantizedKernel
from keras_kd.quantization.rewriting.ends import first_and_last
from keras_kd.quantization.rewriting.remake import Scheme
from keras_kd.quantization.rewriting.rewrite import Rewriter

_SUBJECT = "quantize_aware"
_WEIGHTS = ("per_channel", "per_tensor")
_ACTIVATIONS = ("moving_range", "learned_step")
_FIRST_LAST = ("int8", "float")
_RUNTIMES = ("litert", "litert-reference", "tflm")


def quantize_aware(
    student: keras.Model,
    *,
    weights: str = "per_channel",
    activations: str = "moving_range",
    first_last: str = "int8",
    delay: int = 0,
    momentum: float = 0.99,
    runtime: str = "litert",
) -> keras.Model:
    """Return a student that computes as its int8 file will, and can train.

    For students that lose accuracy in int8: continue their training with the
    same `Distiller`, and the student learns weights that survive the
    rounding. Start from a trained student and a tenth of its learning rate. A
    training step takes longer than that of the float student. Afterwards,
    `keras_kd.export.tflite(student, path, "int8")` needs no calibration data,
    and the outputs of the file agree with `predict`: for trained students of
    all image families to within one step, 1/255 of the outputs' range. The
    student rounds its inputs as the caller of the file should, halves to
    even: `numpy.rint(x / scale) + zero_point`.

    Kernels are rounded to 8 bits, in convolutions with one step per channel.
    Activations are rounded to 8 bits wherever the file stores them, which is
    after each operator; ReLU and batch normalization are part of the operator
    before them. In training the normalization uses the statistics of the
    batch; in inference it is folded into the kernel, as the converter does.

    Layers keep their names, so that feature losses find them, and their
    outputs are not rounded; those of `<name>_quantized` are. The output of a
    convolution with a folded normalization is the normalized one. A layer
    whose activation is a separate operator, such as softmax, becomes two
    layers, `<name>_linear` and `<name>`. Layers that int8 does not have stay
    in float32, in the file too; a warning names them. If one of them takes an
    input, such as a spectrogram, the file takes float32, and its
    `Verification` calls it `"mixed_int8"`.

    The new model has the layers of nested models in its own graph. Each nested
    model leaves an `Identity` of its name on its result, and losses find
    layers by the same paths as before. Image augmentation runs in training
    only; the augmented images are then rounded. A layer that is called several
    times has the same weights and other ranges in each call.

    Reference:
        Jacob et al. 2018, arXiv:1712.05877, section 3, for the simulation;
        Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.2, for batch
        normalization, with the departure that `QuantizedKernel` explains;
        Esser et al. 2020, arXiv:1902.08153, for `"learned_step"`.

    Args:
        student: A built Functional or Sequential model in float32, nested
            ones included; unchanged. Usually trained.
        weights: `"per_channel"`, or `"per_tensor"` for devices that support
            nothing else. Dense layers and `Conv2DTranspose` always have one
            step for all weights, because the converter requires it.
        activations: `"moving_range"` follows the smallest and the largest
            value; `"learned_step"` trains the step of each activation with
            the weights, which clips rare large values. Inputs and outputs
            have moving ranges either way.
        first_last: `"int8"` quantizes the first and last layers like all
            others. `"float"` keeps them in float32, in the file too. The
            inputs and outputs of the file are then float32 and not rounded,
            and its `Verification` calls it `"mixed_int8"`. Devices that only
            compute in integers cannot run it. The first layers are those
            with weights that no other layer with weights precedes, together
            with their normalization and activation; the last layers are
            those with weights that no other one follows. Embeddings stay in
            8 bits, because rounding their rows only rounds their results.
        delay: Number of training steps before anything is rounded in
            training. Ranges follow the data from the first step. 0 suits a
            trained student.
        momentum: Share of a moving range that stays at each step, at least 0
            and below 1. Defaults to 0.99, with which ranges settle in a few
            hundred steps.
        runtime: The runtime whose rounding is simulated outside of training
            steps: `"litert"`, with its fast kernels, as on phones;
            `"litert-reference"`; or `"tflm"`, TFLite Micro, for
            microcontrollers. The weights that are trained are the same;
            what `predict`, `evaluate` and the validation in `fit` give is
            what the file gives there. In another runtime the outputs of a
            deep student differ by more steps (see
            docs/microcontrollers.md).

    Returns:
        A new Functional model of the same name with the same weights, not
        compiled.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range; if
            `first_last="float"` leaves no layer for int8; if the student is
            subclassed, not built, not in float32, or quantize-aware already.

    Example:
    >>> import keras_kd
    >>> student = keras_kd.students.mlp((64,), 10, hidden=(20,))
    >>> aware = keras_kd.quantization.quantize_aware(student)
    >>> aware.count_params() - student.count_params()  # three ranges
    9
    """
    check_choice(_SUBJECT, "weights", weights, _WEIGHTS)
    check_choice(_SUBJECT, "activations", activations, _ACTIVATIONS)
    check_choice(_SUBJECT, "first_last", first_last, _FIRST_LAST)
    check_choice(_SUBJECT, "runtime", runtime, _RUNTIMES)
    check_integer(_SUBJECT, "delay", delay, low=0)
    momentum = check_number(_SUBJECT, "momentum", momentum, low=0)
    if momentum >= 1:
        expected = "a number below 1"
        raise ValueError(requirement(_SUBJECT, "momentum", expected, momentum))
    _check_student(student)
    _allow_depth(student)
    scheme = Scheme(
        per_channel=weights == "per_channel",
        learned=activations == "learned_step",
        delay=delay,
        momentum=momentum,
        runtime=runtime,
    )
    kept = first_and_last(student) if first_last == "float" else set()
    rewriter = Rewriter(student, scheme, kept)
    model = rewriter.model()
    if kept and not _has_int8_weights(model):
        expected = "'int8' for a student that has no layers in between"
        raise ValueError(
            requirement(_SUBJECT, "first_last", expected, first_last)
        )
    if rewriter.left_float:
        real = rewriter.real_inputs if not kept else []
        _warn(student, rewriter.left_float, real)
    return carry(student, model)


def _allow_depth(student: keras.Model) -> None:
    """Raise Python's recursion limit, because Keras walks graphs recursively.

    Each layer becomes up to three layers, and the default limit is 1000 calls.
    The limit stays raised: whatever walks the graph later needs it as well.
    """
    needed = 1000 + 4 * sum(1 for _ in walk(student))
    sys.setrecursionlimit(max(sys.getrecursionlimit(), needed))


def _has_int8_weights(model: keras.Model) -> bool:
    inner = flatten_layers(model)
    return any(isinstance(layer, QuantizedKernel) for layer in inner)


def _check_student(student: Any) -> None:
    """Refuse models without a known graph, and types other than float32."""
    message = requirement(
        _SUBJECT,
        "student",
        "a built Functional or Sequential model, its nested models too",
        student,
        "Add a keras.Input to a Sequential model; a subclassed one has to be "
        "written as a Functional one.",
    )
    if not isinstance(student, keras.Model):
        raise TypeError(message)
    nested = [m for _, m in walk(student) if isinstance(m, keras.Model)]
    if not student.built or not all(map(is_graph, [student, *nested])):
        raise ValueError(message)
    if is_quantize_aware(student):
        expected = "a float student"
        advice = "This one is quantize-aware already."
        raise ValueError(
            requirement(_SUBJECT, "student", expected, student, advice)
        )
    for path, layer in walk(student):
        policy = layer.dtype_policy
        dtype = layer.compute_dtype or "float32"
        mixed = "float" in dtype and dtype != "float32"
        if mixed or getattr(policy, "quantization_mode", None) is not None:
            raise ValueError(
                requirement(
                    _SUBJECT,
                    "student",
                    "in float32 throughout",
                    student,
                    f"Its layer `{path}` has the policy {policy.name!r}; int8 "
                    "is simulated in float32. Build the student with the "
                    "policy 'float32' and copy the weights.",
                )
            )


def _warn(student: keras.Model, names: list[str], inputs: list[str]) -> None:
    """Say which layers stay in float32, and which inputs with them."""
    noun = "layer stays" if len(names) == 1 else "layers stay"
    text = (
        f"`{_SUBJECT}`: {len(names)} {noun} in float32 in `{student.name}`: "
        f"{', '.join(names)}. int8 does not have them."
    )
    if inputs:
        text += (
            f" The input {', '.join(inputs)} is therefore not rounded, and "
            "the inputs of the file are in float32."
        )
    warnings.warn(text, stacklevel=3)
