"""`keras-kd export`: writes a student as a verified file."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated
from typing import Any

import typer

from keras_kd.cli import printing
from keras_kd.cli.data import DATA_HELP
from keras_kd.cli.data import Kind
from keras_kd.cli.data import Label
from keras_kd.cli.data import Scale
from keras_kd.cli.models import Imports
from keras_kd.cli.models import import_classes
from keras_kd.cli.problems import Problems
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.core.checks import requirement
from keras_kd.jobs.data import as_bytes
from keras_kd.jobs.data import check_data
from keras_kd.jobs.data import check_kind
from keras_kd.jobs.data import check_scale
from keras_kd.jobs.data import from_bytes
from keras_kd.jobs.data import load_data
from keras_kd.jobs.models import load_student

# Options of a file that is named, and not of a folder for a microcontroller.
_OF_PATHS = ("quantization", "runtime", "target")


def export(  # noqa: PLR0913 (one option a line)
    student: Annotated[Path, typer.Argument(help="A .keras file.")],
    path: Annotated[
        Path | None,
        typer.Argument(
            help="The file to write: a name that ends in .tflite or .onnx, or "
            "a folder for a SavedModel.",
            show_default=False,
        ),
    ] = None,
    microcontroller: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write, instead of PATH, a folder of C++ for TensorFlow Lite "
            "Micro: an int8 file as an array, and what goes with it.",
        ),
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option(
            help="float32, float16, dynamic_range, int8, int16x8 or "
            "int4_weights; for .tflite."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "--calibration",
            "--dataset",
            metavar="DATA",
            help=f"{DATA_HELP} Its training examples give int8 and int16x8 "
            "files their ranges, its test examples are used to compare the "
            "file with the student.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            help="probabilities: the file ends in the softmax or sigmoid of "
            "the student's logits; or logits; for .tflite.",
            show_default="the student's outputs",
        ),
    ] = None,
    output_dtype: Annotated[
        str | None,
        typer.Option(help="uint8: an int8 file gives bytes; for .tflite."),
    ] = None,
    input_dtype: Annotated[
        str | None,
        typer.Option(
            help="uint8: the file takes pixels as bytes and scales them "
            "itself; for .tflite."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Text file with one class name per line; for .tflite."
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Largest difference of an output that passes, as a share of "
            "the range of the student's outputs."
        ),
    ] = None,
    scale: Scale = None,
    kind: Kind = None,
    label: Label = None,
    imports: Imports = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="Runtime in which a .tflite file has to pass: litert, "
            "litert-reference or tflm (TFLite Micro). May be given several "
            "times.",
            show_default="litert",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="NPU, such as ethos-u55-128: writes the int8 file compiled "
            "for it, too."
        ),
    ] = None,
    as_json: printing.Json = False,
) -> None:
    """Export a student; the file appears once it was loaded and compared."""
    only = {
        "quantization": quantization,
        "output": output,
        "output_dtype": output_dtype,
        "input_dtype": input_dtype,
        "labels": labels,
        "runtime": runtime,
        "target": target,
    }
    written = _written(path, microcontroller, only)
    is_tflite = written.suffix == ".tflite" or microcontroller is not None
    problems = Problems()
    names = None
    with problems:
        if labels is not None:
            names = labels.read_text("utf-8").splitlines()
    with problems:
        check_scale("export", scale)
    with problems:
        check_kind("export", kind)
    load_tensorflow()
    import keras_kd

    with problems:
        import_classes(imports)
    with problems:
        model = load_student(student)
    with problems:
        if data is not None:
            check_data(data)
    with problems:
        _check_target(target)
    if input_dtype is not None and data is None and scale is None:
        with problems:
            raise ValueError(
                requirement(
                    "export",
                    "scale",
                    "given, or `--data`, for a file of bytes",
                    scale,
                    "The file turns bytes into pixels of this range.",
                )
            )
    problems.check()
    images = test = None
    if data is not None:
        splits = load_data(
            data, model, file=student, scale=scale, kind=kind, label=label
        )
        scale = splits.scale
        if input_dtype is not None:
            splits = as_bytes(splits)
        images, test = splits.train.map(lambda x, y: x), splits.test
    if is_tflite:
        write: Any = keras_kd.export.tflite
        if microcontroller is not None:
            write = keras_kd.export.microcontroller
        else:
            write = partial(write, quantization=quantization, runtime=runtime)
        check = write(
            model,
            written,
            calibration=images,
            verify=test,
            tolerance=tolerance,
            preprocess=from_bytes(scale) if input_dtype else None,
            input_dtype=input_dtype,
            output=output,
            output_dtype=output_dtype,
            labels=names,
        )
    else:
        onnx = written.suffix == ".onnx"
        write = keras_kd.export.onnx if onnx else keras_kd.export.saved_model
        check = write(model, written, verify=test, tolerance=tolerance)
    content = asdict(check) | _on_npu(written, target)
    printing.print_check(content, as_json)


def _check_target(target: str | None) -> None:
    from keras_kd.evaluation.npu import check_target

    if target is not None:
        check_target("export", target)


def _on_npu(path: Path, target: str | None) -> dict[str, Any]:
    """Compile a file for an NPU, if one was named, and describe the result."""
    from keras_kd.evaluation.npu import compiled

    if target is None:
        return {}
    found = compiled(path, target)
    return {"npu": asdict(found) | {"path": str(found.path)}}


def _written(
    path: Path | None, folder: Path | None, only: dict[str, Any]
) -> Path:
    """Return what to write: the path, or a folder for a microcontroller.

    Args:
        path: The argument.
        folder: The option.
        only: Options, by name, that not every kind of file has.

    Raises:
        ValueError: If neither or both are given, or an option does not go
            with what is given.
    """
    written = folder or path
    if written is None or (path is not None and folder is not None):
        expected = "given, or `--microcontroller FOLDER`, and not both"
        received = path and str(path)
        raise ValueError(requirement("export", "path", expected, received))
    for name, value in only.items():
        if folder is not None and name in _OF_PATHS:
            if value and value != "int8":
                expected = "left out for a microcontroller"
                advice = "Its file is int8, and passes under tflm and litert."
                raise ValueError(
                    requirement("export", name, expected, value, advice)
                )
        elif value and folder is None and written.suffix != ".tflite":
            expected = f"a name that ends in .tflite for {name} {str(value)!r}"
            raise ValueError(
                requirement("export", "path", expected, str(written))
            )
    return written
