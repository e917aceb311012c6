"""The report: one page with the answer, the numbers and the pictures."""

import importlib.metadata
import os
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.files import check_writable
from keras_kd.core.files import write_text
from keras_kd.core.imports import optional
from keras_kd.evaluation import Evaluation
from keras_kd.reporting import words
from keras_kd.reporting.as_json import as_json
from keras_kd.reporting.as_json import plain
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.model_card import write_cards
from keras_kd.reporting.predictions import AnyModel
from keras_kd.reporting.predictions import predict
from keras_kd.reporting.sections import sections

_FOLDER = Path(__file__).parent


def report(  # noqa: PLR0913 (a page's parts, each optional)
    path: str | os.PathLike[str],
    evaluations: Mapping[str, Evaluation],
    *,
    title: str = "Distillation report",
    ship: str | None = None,
    histories: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    trials: Sequence[Any] | None = None,
    objective: tuple[str, str] = ("val_accuracy", "max"),
    dataset: Any = None,
    models: Mapping[str, AnyModel] | None = None,
    model_output: str | None = None,
    class_names: Sequence[str] | None = None,
    verifications: Mapping[str, Any] | None = None,
    rounding: Mapping[str, Sequence[Any]] | None = None,
    made: Mapping[str, Any] | None = None,
) -> Path:
    """Write a page that shows what a student costs and what it keeps.

    The page is one HTML file that needs no network: it can be mailed, printed
    and read on a phone. Parts for which nothing is given are left out. Beside
    it, the same numbers are written as JSON; beside each verified `.tflite`
    file, a model card as Markdown. `models` and `dataset` add one pass over
    the data, and put eight examples of the data into the page.

    Args:
        path: The page, such as `"report.html"`.
        evaluations: What `keras_kd.evaluate` found, by the name of the row;
            the teacher first.
        title: Title of the page.
        ship: The row to ship, which the page begins with. It is compared with
            the teacher; without it, the last row is.
        histories: `history` of what `fit` returned, by the name of the run.
        trials: `StudentTuner.results` of a search, or the same as dicts.
        objective: The objective of the search and its direction, `"max"` or
            `"min"`. Defaults to `StudentTuner`'s.
        dataset: The data that was evaluated; what `keras_kd.evaluate` takes.
        models: The Keras models or files to run on `dataset`, by their rows:
            the teacher and the row it is compared with, at least. They must
            be classifiers. What they look at is drawn for Keras models.
        model_output: What the models return if their layers do not tell, as
            in `keras_kd.evaluate`.
        class_names: Names of the classes, in the order of the outputs.
        verifications: What `keras_kd.export` returned for the files, by row.
        rounding: What `keras_kd.export.rounding` finds, by row.
        made: How everything was made: versions, seeds, the command, hashes,
            the split of the data; values, lists or mappings of these.

    Returns:
        `path`, as a `Path`.

    Raises:
        ImportError: If the extra `report` is not installed.
        ValueError: If rows are missing, `dataset` and `models` are not given
            together, or the models are not classifiers of the same classes.
        OSError: If the folder cannot be written to.

    Example:
    >>> import tempfile, keras_kd
    >>> found = {
    ...     "teacher": keras_kd.Evaluation("t", 500, 0.98, size_bytes=90_000),
    ...     "student": keras_kd.Evaluation("s", 500, 0.97, size_bytes=9_000)}
    >>> path = keras_kd.report(
    ...     tempfile.mkdtemp() + "/report.html", found, ship="student")
    >>> page = path.read_text()
    >>> "97.0% of 500 examples, 1.0 points less than teacher" in page
    True
    """
    target = Path(path)
    models = dict(models or {})
    # Parts of the extra that are missing are named before anything runs.
    jinja2 = optional("jinja2", "report", "`keras_kd.report`")
    optional("matplotlib", "report", "`keras_kd.report`")
    problems = [
        *_rows(evaluations, ship, verifications, rounding),
        *_compared(evaluations, ship, dataset, models),
    ]
    if objective[1] not in ("max", "min"):
        expected = "a name and 'max' or 'min'"
        problems.append(requirement("report", "objective", expected, objective))
    if problems:
        raise ValueError("\n".join(problems))
    check_writable(target)
    student = ship or list(evaluations)[-1]
    contents = Contents(
        title=title,
        evaluations=evaluations,
        student=student,
        ship=ship,
        histories=histories or {},
        trials=[plain(trial) for trial in trials or ()],
        objective=objective,
        models=models,
        predictions=predict(models, dataset, student, model_output)
        if models
        else None,
        class_names=class_names or (),
        verifications=verifications or {},
        rounding=rounding or {},
        made=made or {},
        model_output=model_output,
    )
    parts = sections(contents)
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(_FOLDER),
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = words.percent
    page = environment.get_template("page.html").render(
        title=title,
        sections=parts,
        style=(_FOLDER / "page.css").read_text("utf-8"),
        version=importlib.metadata.version("keras-kd"),
    )
    write_text(target, page)
    write_text(target.with_suffix(".json"), as_json(contents, parts))
    write_cards(contents)
    return target


def _rows(
    evaluations: Mapping[str, Evaluation],
    ship: str | None,
    verifications: Mapping[str, Any] | None,
    rounding: Mapping[str, Any] | None,
) -> list[str]:
    """Return what is wrong with the rows and the names of rows."""
    if not evaluations or not all(
        isinstance(one, Evaluation) for one in evaluations.values()
    ):
        return [
            requirement(
                "report",
                "evaluations",
                "a mapping from names to `keras_kd.Evaluation`, the teacher "
                "first",
                evaluations,
                "`keras_kd.evaluate` returns one.",
            )
        ]
    rows = list(evaluations)
    named = {
        "ship": [] if ship is None else [ship],
        "verifications": list(verifications or ()),
        "rounding": list(rounding or ()),
    }
    return [
        requirement(
            "report",
            argument,
            f"of the rows {rows}",
            name,
            nearest(name, rows),
        )
        for argument, names in named.items()
        for name in names
        if name not in rows
    ]


def _compared(
    evaluations: Mapping[str, Evaluation],
    ship: str | None,
    dataset: Any,
    models: Mapping[str, AnyModel],
) -> list[str]:
    """Return what is wrong with the models and the data to run them on."""
    if not evaluations:
        return []
    if not models:
        return (
            []
            if dataset is None
            else ["`report` needs `models` to run on `dataset`. Add them."]
        )
    found = []
    if dataset is None:
        found.append("`report` needs a `dataset` to run `models` on. Add it.")
    rows = list(evaluations)
    needed = dict.fromkeys([rows[0], ship or rows[-1]])
    unknown = set(models) - set(rows)
    missing = set(needed) - set(models)
    if unknown or missing or next(iter(models)) != rows[0]:
        found.append(
            requirement(
                "report",
                "models",
                f"of rows of `evaluations`, {rows[0]!r} first, with "
                f"{' and '.join(map(repr, needed))} among them",
                list(models),
            )
        )
    return found
