"""Opens a converted file and checks that it is of the requested kind."""

from pathlib import Path

from keras_kd.core.errors import ExportMismatchError
from keras_kd.evaluation.runtimes import UnusableFileError
from keras_kd.export.context import Context
from keras_kd.export.kinds import KINDS
from keras_kd.export.kinds import MIXED
from keras_kd.export.layer_names import LayerNames
from keras_kd.export.opened import OpenedFile
from keras_kd.export.opened import open_file
from keras_kd.quantization import has_float_outputs
from keras_kd.quantization import num_float_weights

_ADVICE = {
    "dynamic_range": "Layers of fewer than 1,024 weights stay float, and this "
    "student has no larger one. Use 'float16' or 'int8'.",
    "int4_weights": "This student has no layer whose weights the quantizer "
    "can round. Use 'dynamic_range'.",
    "int8": "Check the calibration data.",
    "int16x8": "Check the calibration data.",
    MIXED: "Use `first_last='int8'`.",
}


def open_converted(
    context: Context,
    path: Path,
    quantization: str,
    runtime: str | None = None,
) -> OpenedFile:
    """Open a converted file and check that it is of the requested kind.

    Args:
        context: The student, and the layers in front of it in the file.
        path: The file.
        quantization: Kind that the file must have.
        runtime: The runtime that runs the file; `None` for LiteRT.

    Raises:
        ExportMismatchError: If the file does not load or is of another kind.
            The converter does not report either.
    """
    try:
        file = open_file(path, context.subject, runtime)
    except UnusableFileError as error:
        names = LayerNames(context)
        told = error.retold(context.subject, path, names.shown)
        raise ExportMismatchError(
            f"`{context.subject}`: the converter made a file of the kind "
            f"{quantization} that the runtime {runtime or 'litert'!r} "
            f"refuses. {told.reason}"
        ) from error
    if file.kind != quantization:
        weights = ", ".join(f"{n} {k}" for k, n in file.weight_dtypes.items())
        raise ExportMismatchError(
            f"`{context.subject}` asked for {quantization} and the converter "
            f"made a {file.kind} file (weights: {weights or 'none'}). "
            f"{_ADVICE.get(quantization, '')}"
        )
    if quantization == "int4_weights":
        _check_four_bits(context, file)
    wanted = KINDS[quantization].ends
    if wanted is not None:
        _check_ends(context, file, wanted)
    return file


def check_floats(context: Context, file: OpenedFile) -> None:
    """Check that a mixed file has the student's float layers in float32.

    The converter quantizes any layer between known ranges to int8.

    Raises:
        ExportMismatchError: If the file has fewer float32 weights than the
            student's float layers.
    """
    expected = num_float_weights(context.student)
    found = file.weight_dtypes.get("float32", 0)
    if found < expected:
        raise ExportMismatchError(
            f"`{context.subject}`: {expected:,} weights of "
            f"`{context.student.name}` were to stay in float32, and the "
            f"converter left {found:,}. "
            f"{_ADVICE[MIXED]}"
        )


def _check_four_bits(context: Context, file: OpenedFile) -> None:
    """Check that at least half of the weights have 4 bits."""
    counts = file.weight_dtypes
    total, found = sum(counts.values()), counts.get("int4", 0)
    if found < total / 2:
        raise ExportMismatchError(
            f"`{context.subject}` asked for int4_weights, and the quantizer "
            f"rounded {found:,} of {total:,} weights to 4 bits; "
            f"{counts.get('int8', 0):,} have 8 and "
            f"{counts.get('float32', 0):,} are float32: it has no 4-bit "
            "depthwise kernels and embeddings. Use 'dynamic_range', which "
            "rounds all to 8 bits."
        )


def _check_ends(context: Context, file: OpenedFile, wanted: str) -> None:
    """Check the type of floating-point inputs and outputs."""
    specs = context.signature.specs
    real = {spec.name for spec in specs if "float" in spec.dtype}
    given = {dtype for name, dtype in file.inputs.items() if name in real}
    # An index, such as that of `argmax`, is int32 in every file.
    made = {*file.outputs.values()} - {"int32", "int64"}
    results = wanted
    if wanted == "float32" and not has_float_outputs(context.student):
        results = "int8"
    if results == "int8" and context.output_dtype is not None:
        results = context.output_dtype
    if not given <= {wanted} or not made <= {results}:
        ends = ", ".join([*file.inputs.values(), *file.outputs.values()])
        raise ExportMismatchError(
            f"`{context.subject}` asked for {file.kind} and the converter "
            f"made a file whose inputs and outputs are {ends}. Use "
            "'dynamic_range'."
        )
