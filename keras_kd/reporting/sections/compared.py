"""What teacher and student say about each example."""

import numpy as np

from keras_kd.reporting import charts
from keras_kd.reporting import counting
from keras_kd.reporting import words
from keras_kd.reporting.contents import Card
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.contents import Figure
from keras_kd.reporting.contents import Guess
from keras_kd.reporting.contents import Section
from keras_kd.reporting.contents import Table
from keras_kd.reporting.examples import panels
from keras_kd.reporting.predictions import Disagreement

# Classes that one matrix has room for.
_MOST_CLASSES = 20
_MOST_PAIRS = 50
_MOST_GUESSES = 3
# A smaller mean gap between confidence and accuracy is none.
_SMALL_GAP = 0.005


def confidence(contents: Contents) -> Section | None:
    """Draw how often each model is right at each confidence."""
    found = contents.predictions
    if found is None or found.labels is None:
        return None
    names = list(dict.fromkeys([contents.teacher, contents.student]))
    bins = {
        name: counting.reliability(
            found.confidences[name], found.choices[name] == found.labels
        )
        for name in names
    }
    sentence = " ".join(_sure(name, one) for name, one in bins.items())
    drawn = charts.reliability(
        sentence,
        {name: (one.confidence, one.accuracy) for name, one in bins.items()},
    )
    cells: list[tuple[str, ...]] = []
    for place in range(counting.NUM_BINS):
        row = [f"{10 * place}–{10 * place + 10}%"]
        for one in bins.values():
            count = int(one.counts[place])
            right = words.percent(float(one.accuracy[place]))
            row += [str(count), right if count else "–"]
        cells.append(tuple(row))
    columns = ["confidence"]
    for name in names:
        columns += [f"{name}: examples", f"{name}: right"]
    table = Table("Examples by confidence", columns, cells)
    return Section(
        title="Confidence", figures=(Figure(sentence, drawn, table),)
    )


def _sure(name: str, bins: counting.Reliability) -> str:
    total = bins.counts.sum()
    sure, right = (
        words.percent(float(np.nansum(bins.counts * means) / total))
        for means in (bins.confidence, bins.accuracy)
    )
    said = f"{name} is right on {right} and {sure} sure on average"
    if abs(bins.bias) < _SMALL_GAP:
        return f"{said}."
    way = "over" if bins.bias > 0 else "under"
    return f"{said}: {way}confident by {words.points(bins.bias)}."


def errors(contents: Contents) -> Section | None:
    """Draw what the student gets wrong that the teacher does not."""
    found = contents.predictions
    if (
        found is None
        or found.labels is None
        or contents.teacher == contents.student
    ):
        return None
    taught = found.choices[contents.teacher]
    learned = found.choices[contents.student]
    new = counting.errors(found.labels, taught, learned, found.num_classes)
    total = len(found.labels)
    said = [
        f"Of {words.counted(total, 'example')}, {contents.student} gets "
        f"{new.num_new:,} wrong that {contents.teacher} gets right, and "
        f"{new.num_mended:,} right that {contents.teacher} gets wrong. Both "
        f"are wrong on {new.num_both:,}."
    ]
    if not new.num_new:
        return Section(title="New errors", words=said)
    pairs = sorted(
        (
            (int(new.new[row, column]), row, column)
            for row, column in zip(*new.new.nonzero(), strict=True)
        ),
        key=lambda pair: (-pair[0], pair[1:]),
    )
    name = contents.class_name
    count, row, column = pairs[0]
    sentence = (
        f'Most often it takes "{name(row)}" for "{name(column)}": '
        f"{words.counted(count, 'time')}."
    )
    shown: list[int] = []
    for _, row, column in pairs:
        both = [place for place in (row, column) if place not in shown]
        if len(shown) + len(both) <= _MOST_CLASSES:
            shown += both
    shown.sort()
    if len(shown) < found.num_classes:
        sentence += (
            f" The chart shows the {len(shown)} classes with the most new "
            "errors."
        )
    drawn = charts.matrix(
        sentence,
        f"what {contents.student} says",
        "label",
        new.new[shown][:, shown],
        [name(place) for place in shown],
    )
    table = Table(
        caption="New errors, the most frequent first",
        columns=("label", "said instead", "examples"),
        rows=[
            (name(row), name(column), str(count))
            for count, row, column in pairs[:_MOST_PAIRS]
        ],
    )
    return Section(
        title="New errors",
        words=said,
        figures=(Figure(sentence, drawn, table),),
    )


def disagreements(contents: Contents) -> Section | None:
    """Draw the examples on which teacher and student disagree most."""
    found = contents.predictions
    if found is None or not found.disagreements:
        return None
    worst = found.disagreements
    seen = panels(contents)
    said = [
        f"The {words.counted(len(worst), 'example')} on which "
        f"{contents.student} differs most from {contents.teacher}, by the "
        "share of probability that they give to different classes."
    ]
    if seen.explained:
        said.append(
            "Orange is what speaks for the class that the model chose, blue "
            "what speaks against it (gradient times input)."
        )
    cards = [
        Card(
            _title(contents, one),
            [f"difference: {words.percent(one.distance)}"],
            drawn,
            _guesses(contents, one),
        )
        for one, drawn in zip(worst, seen.panels, strict=True)
    ]
    return Section(title="Disagreements", words=said, cards=cards)


def _title(contents: Contents, one: Disagreement) -> str:
    title = f"Example {one.index}"
    if one.label is not None:
        title += f": {contents.class_name(one.label)}"
    return title


def _guesses(contents: Contents, one: Disagreement) -> list[Guess]:
    return [
        Guess(
            who,
            [
                (contents.class_name(int(place)), float(shares[place]))
                for place in np.argsort(-shares, kind="stable")[:_MOST_GUESSES]
            ],
        )
        for who, shares in (
            (contents.teacher, one.teacher),
            (contents.student, one.student),
        )
    ]
