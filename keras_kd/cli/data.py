"""Options about the data, the same for every command."""

from typing import Annotated

import typer

DATA_HELP = (
    "A folder with a folder a class (images, .wav or .txt files), a .csv, "
    ".jsonl or .npz file, 'digits', or a TensorFlow Datasets name."
)
Data = Annotated[
    str, typer.Option("--data", "--dataset", metavar="DATA", help=DATA_HELP)
]
Kind = Annotated[
    str | None,
    typer.Option(
        help="Kind of the data: images, audio, text, numbers or other.",
        show_default="found from the data",
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of the labels in a table.",
        show_default="one called label, class, target or the like",
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(
        metavar="RANGE",
        help="Range of the pixels that the model takes: 0..1, 0..255 or -1..1.",
        show_default="the range in which it is right most often",
    ),
]
