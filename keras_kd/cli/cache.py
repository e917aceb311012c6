"""`keras-kd cache`: builds, shows and verifies teacher caches."""

from pathlib import Path
from typing import Annotated
from typing import Any

import typer

from keras_kd.cli import printing
from keras_kd.cli.quiet import load_tensorflow

app = typer.Typer(
    no_args_is_help=True,
    help="Compute a teacher's outputs once; look at them; check them.",
)
_Folder = Annotated[Path, typer.Argument(help="The folder of a cache.")]


@app.command()
def build(
    teacher: Annotated[Path, typer.Argument(help="A .keras file.")],
    dataset: Annotated[
        str, typer.Option(help="'digits', or a TensorFlow Datasets name.")
    ],
    output: Annotated[Path, typer.Option(help="The folder of the cache.")],
    top_k: Annotated[
        int | None,
        typer.Option(min=1, help="Store the most likely classes only."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float16 or float32.")] = "float16",
    as_json: printing.Json = False,
) -> None:
    """Run a teacher over a data set's training images and store its outputs.

    Kill it and run it again: it goes on where it was.
    """
    load_tensorflow()
    import keras_kd

    model = keras_kd.teachers.load(teacher)
    train = keras_kd.data.load(dataset).train
    cache = keras_kd.TeacherCache.build(
        output, model, train, top_k=top_k, dtype=dtype
    )
    _print(cache.info(), as_json)


@app.command()
def info(folder: _Folder, as_json: printing.Json = False) -> None:
    """Show what a cache holds."""
    load_tensorflow()
    import keras_kd

    _print(keras_kd.TeacherCache.open(folder).info(), as_json)


@app.command()
def verify(folder: _Folder, as_json: printing.Json = False) -> None:
    """Read every byte of a cache and compare checksums."""
    load_tensorflow()
    import keras_kd

    cache = keras_kd.TeacherCache.open(folder)
    cache.verify()
    _print({"verified": True} | cache.info(), as_json)


def _print(content: dict[str, Any], as_json: bool) -> None:
    if as_json:
        printing.print_json(content)
        return
    # Structures are printed only as JSON.
    rows = [
        (name, printing.measure(name, value))
        for name, value in content.items()
        if value is not None and not isinstance(value, dict)
    ]
    printing.print_table(("cache", ""), rows)
