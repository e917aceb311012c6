"""What goes into a report, and the parts that a page is made of."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from keras_kd.evaluation import Evaluation
from keras_kd.reporting.predictions import Predictions

# A longer list of values is counted instead.
_MOST_VALUES = 20


@dataclass(frozen=True)
class Contents:
    """Everything that a report is made from.

    Attributes:
        title: The page's title.
        evaluations: The measured models and files; the first is the teacher.
        student: The row that is compared with the teacher: the one to ship,
            or the last.
        ship: The row to ship, or `None`.
        histories: Keras histories by the name of the run.
        trials: The trials of a search, as dicts.
        objective: Its objective's name, and `"max"` or `"min"`.
        models: Models or files by row.
        predictions: What the models say about the data, or `None`.
        class_names: Names of the classes, or empty.
        verifications: Checks of exported files by row.
        rounding: Layers that lose most, by row.
        made: How everything was made.
        model_output: Kind of the models' outputs, if they do not tell.
    """

    title: str
    evaluations: Mapping[str, Evaluation]
    student: str
    ship: str | None = None
    histories: Mapping[str, Mapping[str, Sequence[float]]] = field(
        default_factory=dict
    )
    trials: Sequence[Mapping[str, Any]] = ()
    objective: tuple[str, str] = ("val_accuracy", "max")
    models: Mapping[str, Any] = field(default_factory=dict)
    predictions: Predictions | None = None
    class_names: Sequence[str] = ()
    verifications: Mapping[str, Any] = field(default_factory=dict)
    rounding: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)
    model_output: str | None = None

    @property
    def teacher(self) -> str:
        """The teacher's row."""
        return next(iter(self.evaluations))

    def class_name(self, number: int) -> str:
        """Return the name of a class, or its number."""
        if number < len(self.class_names):
            return str(self.class_names[number])
        return str(number)


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        caption: What it holds.
        columns: Heading of each column; the first column names the row.
        rows: Cells.
        strong: Place of the row that stands out, or `None`.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: int | None = None


@dataclass(frozen=True)
class Figure:
    """A chart, the sentence that says what it shows, and its numbers."""

    sentence: str
    svg: str
    table: Table


@dataclass(frozen=True)
class Panel:
    """One picture of an example: an image, a curve or text.

    Attributes:
        caption: Whose view it is.
        image: An image as a data URI, or "".
        svg: A drawing, or "".
        text: Text, or "".
        table: Numbers, or `None`.
    """

    caption: str
    image: str = ""
    svg: str = ""
    text: str = ""
    table: Table | None = None


@dataclass(frozen=True)
class Guess:
    """The classes to which a model gives most probability.

    Attributes:
        who: The model.
        ranked: Class and probability, the largest first.
    """

    who: str
    ranked: Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Card:
    """One example, with what is said about it."""

    title: str
    words: Sequence[str]
    panels: Sequence[Panel]
    guesses: Sequence[Guess] = ()


@dataclass(frozen=True)
class Section:
    """One part of the page under a heading of its own.

    Attributes:
        title: The heading.
        words: Sentences under it.
        tiles: Pairs of a measure and its value with a remark.
        tables: Tables that are always open.
        figures: Charts.
        cards: Examples.
        folded: Tables behind a line that opens them.
    """

    title: str
    words: Sequence[str] = ()
    tiles: Sequence[tuple[str, str, str]] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    cards: Sequence[Card] = ()
    folded: Sequence[Table] = ()

    @property
    def anchor(self) -> str:
        """The section's ID in the page."""
        return self.title.lower().replace(" ", "-")


def flat(
    values: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield names and values of nested mappings as text, without empty ones.

    Example:
    >>> from keras_kd.reporting.contents import flat
    >>> list(flat({"data": {"num_train": 10, "shape": [8, 8], "notes": []}}))
    [('data: num train', '10'), ('data: shape', '8, 8')]
    """
    for name, value in values.items():
        called = f"{above}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from flat(value, f"{called}: ")
        elif isinstance(value, list | tuple):
            few = len(value) <= _MOST_VALUES
            said = ", ".join(map(str, value)) if few else f"{len(value)} values"
            if said:
                yield called, said
        elif value is not None:
            yield called, str(value)
