"""Export to the LiteRT (`.tflite`) format."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_number
from keras_kd.core.files import check_writable
from keras_kd.core.files import staged
from keras_kd.export.card import card_path
from keras_kd.export.card import card_text
from keras_kd.export.combinations import check_combination
from keras_kd.export.combinations import warn_of_floats
from keras_kd.export.context import Context
from keras_kd.export.context import read_context
from keras_kd.export.conversion.parent import check_kinds
from keras_kd.export.conversion.parent import convert_student
from keras_kd.export.examples import calibration_examples
from keras_kd.export.examples import verification_examples
from keras_kd.export.kinds import QUANTIZATIONS
from keras_kd.export.kinds import Demands
from keras_kd.export.lookups import check_no_lookups
from keras_kd.export.verification import Verification
from keras_kd.export.verify import check_file
from keras_kd.export.verify import check_tolerance

_SUBJECT = "export.tflite"


def tflite(  # noqa: PLR0913 (what goes into a file, one keyword each)
    student: Any,
    path: str | os.PathLike[str],
    quantization: str | None = None,
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
    runtime: str | Sequence[str] | None = None,
) -> Verification:
    """Export a student as a `.tflite` file that is proved to behave alike.

    An older file at `path` is replaced only after the LiteRT runtime has
    loaded the new one, its types were found to be those asked for, and its
    outputs were compared with the student's. The conversion runs in a child
    process, so that a crash of the converter does no harm. The first export of
    a program starts it, which takes some 3 seconds; it ends with the program,
    or after two minutes without an export. Exporting the same student again
    gives the same bytes.

    - `"float16"` halves the file.
    - `"dynamic_range"` quarters it: 8-bit weights, float arithmetic.
    - `"int4_weights"` cuts it to some 17 %. Depthwise kernels and the smallest
      layers, up to 15 % of the weights, keep 8 bits; embeddings stay float.
    - `"int8"` quarters it and computes in integers, as microcontrollers and
      NPUs require, with 8-bit inputs and outputs.
    - `"int16x8"` has 16 bits between the layers, if `"int8"` loses too much.
      On CPUs it takes some 20 times as long as `"float32"`, because LiteRT
      has no fast kernels for it.

    A description (labels, preprocessing, scales, hashes, versions) is written
    into the file and beside it, as `student.tflite.json` (see `read_card`).

    Args:
        student: A built `keras.Model`, or a `keras_kd.Distiller`, whose
            student is exported. A student that computes in float16 or
            bfloat16 is exported in float32. With recurrent layers that are
            not unrolled, the file has a batch size of 1; in `"int8"` and
            `"int16x8"` files their loops are unrolled and may have at most
            128 steps.
        path: The file to write, ending in `.tflite`.
        quantization: `None` or `"float32"`, `"float16"`, `"dynamic_range"`,
            `"int8"`, `"int16x8"`, or, with the extra `quantizer`,
            `"int4_weights"`.
        calibration: Inputs of the file, in any form that `fit` takes, from
            which `"int8"` and `"int16x8"` take their ranges. At least 10
            examples; the first 200 are used. A quantize-aware student has
            its own ranges, and the data is only used to compare.
        verify: Data to compare on, in the same forms; with labels, the
            accuracies are reported, too. Defaults to `calibration`, or
            without it to 256 random inputs from a fixed seed. With `False`
            nothing is compared, and `passed` is False in the result; types
            and operators are checked all the same.
        tolerance: Largest difference, as a share of the range of the
            student's outputs. Defaults to a value for each quantization
            (see `verify`).
        preprocess: Layers that the file applies to its inputs before the
            student: a layer such as `keras.layers.Rescaling(1 / 255)`, a list
            of layers or a `keras.Sequential`. Begin with a `keras.Input` if
            raw inputs have another shape. `calibration` and `verify` then
            hold raw inputs. In front of a quantize-aware student that takes
            bytes, one scale and offset cost no operator; other layers stay
            in float32, with a warning.
        input_dtype: `"uint8"` for a file that takes bytes, such as a camera
            delivers. Not for `"int16x8"`.
        output: `"probabilities"` for a file that ends in the softmax of the
            student's logits, or in the sigmoid for labels and for two
            classes in one unit. `"logits"` refuses a student that gives
            none. Defaults to the student's own outputs.
        output_dtype: `"uint8"` for an `"int8"` file that gives bytes;
            probabilities then have a step of 1/256.
        labels: Names of the classes, for the card and for Android: the file
            then has TFLite Metadata with a `labels.txt`.
        timeout: Seconds that the conversion may take. Defaults to 600.
        runtime: The runtime or runtimes in which the file must pass:
            `"litert"`, the default, `"litert-reference"` or `"tflm"` (see
            `verify`). With `"tflm"` the file has a batch size of 1.

    Returns:
        The `Verification` of the file.

    Raises:
        TypeError: If `student` is not a Keras model.
        ValueError: If an argument is wrong: an unbuilt student, lookups in
            it, bad calibration data, or loops that cannot be unrolled.
        ImportError: If a package of an extra is missing.
        OSError: If `path` cannot be written to.
        RuntimeError: If the converter refuses, crashes or takes too long.
        ExportMismatchError: If the file is not what was asked for or does
            not behave like the student. If the file is quantized, the error
            names the layers that lose most.

    Example:
    >>> import keras, keras_kd
    >>> student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> try:
    ...     keras_kd.export.tflite(student, "student.tflite", "int8")
    ... except ValueError as error:
    ...     print(str(error).count("calibration"))
    3
    """
    key = "float32" if quantization is None else quantization
    return tflite_files(
        student,
        {key: path},
        calibration,
        verify,
        {key: tolerance},
        preprocess=preprocess,
        input_dtype=input_dtype,
        output=output,
        output_dtype=output_dtype,
        labels=labels,
        timeout=timeout,
        runtime=runtime,
    )[key]


def tflite_files(  # noqa: PLR0913 (the arguments of `tflite`)
    student: Any,
    paths: Mapping[str, str | os.PathLike[str]],
    calibration: Any = None,
    verify: Any = None,
    tolerance: Mapping[str, float | None] | None = None,
    *,
    preprocess: Any = None,
    input_dtype: str | None = None,
    output: str | None = None,
    output_dtype: str | None = None,
    labels: Sequence[str] | None = None,
    timeout: float = 600,
    runtime: str | Sequence[str] | None = None,
) -> dict[str, Verification]:
    """Export a student as several `.tflite` files in one child process.

    Each file is the same as from `tflite`, and some 4 seconds faster. Files
    are checked and written in order: if one fails, those before it remain.

    Args:
        student: See `tflite`.
        paths: Paths to write, by quantization.
        calibration: See `tflite`.
        verify: See `tflite`.
        tolerance: Tolerances by quantization, see `tflite`.
        preprocess: See `tflite`.
        input_dtype: See `tflite`.
        output: See `tflite`.
        output_dtype: See `tflite`.
        labels: See `tflite`.
        timeout: Seconds that all conversions may take. Defaults to 600.
        runtime: See `tflite`.

    Returns:
        One `Verification` per file, by quantization.

    Raises:
        TypeError: See `tflite`.
        ValueError: See `tflite`.
        ImportError: See `tflite`.
        OSError: See `tflite`.
        RuntimeError: See `tflite`.
        ExportMismatchError: See `tflite`.

    Example:
    >>> import keras, keras_kd
    >>> student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> len(keras_kd.export.tflite_files(student, {}))
    0
    """
    context = read_context(
        _SUBJECT,
        student,
        preprocess=preprocess,
        input_dtype=input_dtype,
        output=output,
        output_dtype=output_dtype,
        labels=labels,
        runtime=runtime,
    )
    return write_files(
        context,
        {key: Path(path) for key, path in paths.items()},
        calibration,
        verify,
        tolerance or {},
        timeout=timeout,
    )


def write_files(
    context: Context,
    paths: Mapping[str, Path],
    calibration: Any,
    verify: Any,
    tolerances: Mapping[str, float | None],
    *,
    timeout: float,
    targets: Mapping[str, Path] | None = None,
) -> dict[str, Verification]:
    """Write a student's `.tflite` files, each once it is verified.

    Args:
        context: The student, and what else goes into the files.
        paths: Paths to write, by quantization.
        calibration: See `tflite`.
        verify: See `tflite`.
        tolerances: Tolerances by quantization, see `tflite`.
        timeout: Seconds that all conversions may take.
        targets: The paths that the user gave, if the files get them later.

    Returns:
        One `Verification` per file, by quantization.

    Raises:
        TypeError: See `tflite`.
        ValueError: See `tflite`.
        ImportError: See `tflite`.
        OSError: See `tflite`.
        RuntimeError: See `tflite`.
        ExportMismatchError: See `tflite`.
    """
    check_number(context.subject, "timeout", timeout, above=0)
    check_no_lookups(context, "a `.tflite`")
    for quantization, path in paths.items():
        _check_file_name(context, quantization, path)
        check_combination(context, quantization, calibration)
        check_tolerance(context, tolerances.get(quantization))
    warn_of_floats(context)
    check_kinds(context, paths)
    examples = None
    if calibration is not None:
        examples = calibration_examples(context, calibration)
    compared = verification_examples(context, verify)
    if compared is None:
        compared = examples
    context.check_installed()
    if not paths:
        return {}
    with tempfile.TemporaryDirectory(prefix="keras_kd_export_") as name:
        made = {key: Path(name) / f"{key}.tflite" for key in paths}
        inputs = examples.inputs if examples is not None else None
        convert_student(context, made, inputs, timeout=timeout)
        results = {}
        for key, path in paths.items():
            demands = Demands(tolerances.get(key), quantization=key)
            # The inner context, the file's, ends first: no card without it.
            with staged(card_path(path)) as card, staged(path) as scratch:
                shutil.copyfile(made[key], scratch)
                results[key] = check_file(
                    context,
                    scratch,
                    compared,
                    demands,
                    target=(targets or paths)[key],
                )
                card.write_text(card_text(scratch), "utf-8")
        return results


def _check_file_name(context: Context, quantization: str, path: Path) -> None:
    """Check that a file of a kind can be written.

    Raises:
        OSError: If the folder cannot be written to.
        ValueError: If the kind or the end of the name is unknown.
    """
    check_choice(context.subject, "quantization", quantization, QUANTIZATIONS)
    if path.suffix != ".tflite" or path.is_dir():
        expected = "the name of a file that ends in `.tflite`"
        raise context.refusal("path", expected, str(path))
    check_writable(path)
