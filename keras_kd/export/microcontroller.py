"""Export as a folder of C++ for TensorFlow Lite Micro."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import cast

from keras_kd.core.files import check_writable
from keras_kd.core.files import staged
from keras_kd.evaluation import runtimes
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.export.context import Context
from keras_kd.export.context import read_context
from keras_kd.export.examples import collect
from keras_kd.export.firmware import FILES
from keras_kd.export.firmware import Vectors
from keras_kd.export.firmware import write_firmware
from keras_kd.export.random_examples import random_examples
from keras_kd.export.tflite import write_files
from keras_kd.export.verification import Verification

_SUBJECT = "export.microcontroller"
_FILE = "model.tflite"
_CARD = "model.tflite.json"
_NUM_VECTORS = 3


def microcontroller(  # noqa: PLR0913 (the arguments of `tflite`)
    student: Any,
    folder: str | os.PathLike[str],
    calibration: Any = None,
    verify: Any = None,
    tolerance: float | None = None,
    *,
    preprocess: Any = None,
    input_dtype: str | None = None,
    output: str | None = None,
    output_dtype: str | None = None,
    labels: Sequence[str] | None = None,
    timeout: float = 600,
) -> Verification:
    """Export a student as a folder of C++ that is proved to run on TFLM.

    TFLM is TensorFlow Lite Micro, the runtime of microcontrollers. The folder
    appears once its int8 file was compared with the student under LiteRT and
    under TFLM. It holds

    - `model.tflite` and its card, `model.tflite.json`;
    - `model.h`, `model.cc`: the file as an aligned array, `kModel`;
    - `model_info.h`: the size of the arena, measured with TFLM (an upper bound
      for its reference kernels on a 32-bit chip); shapes, scales and zero
      points of inputs and outputs; `labels` as texts and as an enumeration;
    - `model_operators.h`: a resolver with the operators of the file alone;
    - `model_test.h`, `model_test.cc`: three examples and the bytes that TFLM
      gave for them, with the function that compares them on the chip;
    - `README.md`: the lines of code that start the model.

    All names are in a namespace called after the folder, so that a firmware
    may hold several models.

    Args:
        student: See `tflite`.
        folder: The folder to write. An existing one must be empty or hold
            nothing but an older bundle.
        calibration: See `tflite`. The first three examples become the test
            vectors; a quantize-aware student without `calibration` gets
            random ones.
        verify: See `tflite`.
        tolerance: See `tflite`.
        preprocess: See `tflite`.
        input_dtype: See `tflite`.
        output: See `tflite`.
        output_dtype: See `tflite`.
        labels: Names of the classes, any texts of one line.
        timeout: See `tflite`.

    Returns:
        The `Verification` of `model.tflite` under TFLM, and under LiteRT in its
        `runtimes`.

    Raises:
        TypeError: See `tflite`.
        ValueError: If an argument is wrong (see `tflite`), if an input has no
            fixed size, or if `folder` holds anything else.
        ImportError: If TFLM is missing, which the extra `micro` brings.
        OSError: If `folder` cannot be written to.
        RuntimeError: See `tflite`.
        ExportMismatchError: See `tflite`; also if TFLM lacks an operator.

    Example:
    >>> import keras, keras_kd
    >>> student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> try:
    ...     keras_kd.export.microcontroller(student, "firmware", None)
    ... except ValueError as error:
    ...     print(str(error).count("calibration"))
    3
    """
    folder = Path(os.path.abspath(folder))
    context = read_context(
        _SUBJECT,
        student,
        preprocess=preprocess,
        input_dtype=input_dtype,
        output=output,
        output_dtype=output_dtype,
        labels=labels,
        # The figures of the first one are returned, with its arena.
        runtime=("tflm", "litert"),
    )
    _check_folder(context, folder)
    _check_sizes(context)
    with staged(folder) as scratch:
        scratch.mkdir()
        path = scratch / _FILE
        [result] = write_files(
            context,
            {"int8": path},
            calibration,
            verify,
            {"int8": tolerance},
            timeout=timeout,
            targets={"int8": folder / _FILE},
        ).values()
        write_firmware(
            scratch,
            path.read_bytes(),
            _vectors(context, path, calibration),
            arena_bytes=cast(int, result.arena_bytes),
            labels=context.labels,
        )
    return result


def _check_folder(context: Context, folder: Path) -> None:
    """Refuse a path at which anything but a bundle would be replaced."""
    check_writable(folder)
    if not folder.exists():
        return
    if folder.is_dir():
        found = set(os.listdir(folder))
        is_bundle = _FILE in found and found <= {_FILE, _CARD, *FILES}
        if is_bundle or not found:
            return
    raise context.refusal(
        "folder",
        "new, empty or an older bundle with no other files in it",
        str(folder),
        "Choose another name; nothing was replaced.",
    )


def _check_sizes(context: Context) -> None:
    """Refuse a student whose arena depends on what it is given."""
    for spec in context.signature.specs:
        if None in spec.shape[1:]:
            raise context.refusal(
                "student",
                f"of a fixed size in `{spec.key}`",
                spec.shape,
                "A microcontroller's memory is divided when it is compiled: "
                "build the student with `keras.Input` of the size there.",
            )


def _vectors(context: Context, path: Path, calibration: Any) -> Vectors:
    """Run examples in the types of a file under TensorFlow Lite Micro."""
    if calibration is None:
        inputs = random_examples(context, _NUM_VECTORS)
    else:
        examples = collect(context, calibration, _NUM_VECTORS, "calibration")
        inputs = examples.inputs
    given = LiteRTModel(path).encode(inputs)
    return Vectors(given, runtimes.get("tflm").run(path, given))
