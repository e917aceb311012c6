"""The charts of a report; each returns inline SVG."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_kd.core.imports import optional
from keras_kd.reporting import words
from keras_kd.reporting.canvas import FAINT
from keras_kd.reporting.canvas import INK
from keras_kd.reporting.canvas import MARKERS
from keras_kd.reporting.canvas import SERIES
from keras_kd.reporting.canvas import chart
from keras_kd.reporting.canvas import short

# An axis whose largest value is more than this many times its smallest has
# powers of ten at equal distances.
_LOG_FROM = 20


class Point(NamedTuple):
    """A point of a chart.

    Attributes:
        x: Its place on the horizontal axis.
        y: Its place on the vertical axis.
        title: What a pointer over it shows.
        name: Its name in the legend, or `None`.
    """

    x: float
    y: float
    title: str
    name: str | None = None


def lines(
    label: str,
    x_label: str,
    y_label: str,
    curves: Mapping[str, Sequence[float]],
    dashed: Mapping[str, Sequence[float]],
    names: Sequence[str],
) -> str:
    """Draw the values of runs after each epoch.

    Args:
        label: What the chart shows.
        x_label: What is on the horizontal axis.
        y_label: What is on the vertical axis.
        curves: Values by name.
        dashed: Values on validation data by name.
        names: All names; each has the colour of its place.
    """
    with chart(label, x_label, y_label) as drawn:
        for group, style in ((curves, "-"), (dashed, "--")):
            for name, values in group.items():
                series = names.index(name)
                drawn.axes.plot(
                    range(1, len(values) + 1),
                    values,
                    style,
                    color=SERIES[series % len(SERIES)],
                    label=short(name, 20)
                    if group is curves or name not in curves
                    else "",
                    marker=MARKERS[series % len(MARKERS)],
                    markersize=3.5,
                    markevery=max(1, len(values) // 10),
                )
        if dashed:
            drawn.axes.plot([], [], "--", color=INK, label="validation data")
        drawn.axes.xaxis.get_major_locator().set_params(integer=True)
        drawn.legend()
    return drawn.svg


def scatter(
    label: str,
    x_label: str,
    y_label: str,
    points: Sequence[Point],
    *,
    front: Sequence[int] = (),
    x_word: Callable[[float], str] = words.number,
    y_word: Callable[[float], str] = words.number,
) -> str:
    """Draw points that have titles, and a line through some of them.

    Args:
        label: What the chart shows.
        x_label: What is on the horizontal axis.
        y_label: What is on the vertical axis.
        points: The points; those that have names get a legend.
        front: Places of the points that the line joins.
        x_word: Formats the numbers on the horizontal axis.
        y_word: Formats the numbers on the vertical axis.
    """
    ticker = optional("matplotlib.ticker", "report", "`keras_kd.report`")
    with chart(label, x_label, y_label) as drawn:
        axes = drawn.axes
        values = [point.x for point in points]
        if min(values) > 0 and max(values) > _LOG_FROM * min(values):
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        for axis, word in ((axes.xaxis, x_word), (axes.yaxis, y_word)):
            axis.set_major_formatter(
                ticker.FuncFormatter(lambda at, _, word=word: word(float(at)))
            )
        axes.margins(0.1)
        axes.step(
            [points[place].x for place in front],
            [points[place].y for place in front],
            where="post",
            color=FAINT,
            linewidth=1.2,
            zorder=2,
        )
        for place, point in enumerate(points):
            drawn.mark(
                point.x,
                point.y,
                point.title,
                series=place if point.name else 0,
                hollow=bool(front) and place not in front,
                name=point.name,
            )
        if any(point.name for point in points):
            drawn.legend()
    return drawn.svg


def reliability(
    label: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> str:
    """Draw accuracy over confidence, beside the line where they are equal."""
    with chart(label, "confidence", "share that is right") as drawn:
        drawn.axes.plot(
            [0, 1], [0, 1], ":", color=FAINT, label="as sure as right"
        )
        for place, (name, (confidence, accuracy)) in enumerate(curves.items()):
            known = ~np.isnan(accuracy)
            drawn.axes.plot(
                confidence[known],
                accuracy[known],
                color=SERIES[place % len(SERIES)],
                marker=MARKERS[place % len(MARKERS)],
                markersize=4,
                label=short(name, 20),
            )
        drawn.axes.set(xlim=(0, 1.02), ylim=(0, 1.05))
        drawn.legend()
    return drawn.svg


def matrix(
    label: str,
    x_label: str,
    y_label: str,
    counts: np.ndarray,
    names: Sequence[str],
) -> str:
    """Draw a square for each pair of classes, stronger for more examples."""
    side = max(2.6, min(4.2, 1.2 + 0.32 * len(names)))
    with chart(label, x_label, y_label, height=side, grid=False) as drawn:
        patches = optional("matplotlib.patches", "report", "`keras_kd.report`")
        most = max(1, int(counts.max()))
        for row, column in np.argwhere(counts):
            count = int(counts[row, column])
            square = patches.Rectangle(
                (column - 0.5, row - 0.5),
                1,
                1,
                facecolor=SERIES[1],
                alpha=0.15 + 0.35 * count / most,
            )
            drawn.axes.add_patch(square)
            drawn.titled(square, f"{names[row]} → {names[column]}: {count}")
            drawn.axes.text(
                column, row, str(count), ha="center", va="center", fontsize=8
            )
        places = range(len(names))
        cut = [short(name, 12) for name in names]
        turned = 90 if max(map(len, cut)) > 2 else 0
        drawn.axes.set_xticks(places, cut, rotation=turned, fontsize=8)
        drawn.axes.set_yticks(places, cut, fontsize=8)
        drawn.axes.set(
            xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5)
        )
    return drawn.svg


def pairs(
    label: str,
    x_label: str,
    names: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    legend: tuple[str, str],
) -> str:
    """Draw two values for each name, joined by a line."""
    height = 1.0 + 0.22 * len(names)
    with chart(label, x_label, "", height=height) as drawn:
        places = np.arange(len(names))
        drawn.axes.hlines(places, before, after, color=FAINT, linewidth=1.5)
        for values, series, name in (
            (before, 0, legend[0]),
            (after, 1, legend[1]),
        ):
            drawn.axes.plot(
                values,
                places,
                MARKERS[series],
                color=SERIES[series],
                markersize=5,
                label=short(name, 20),
            )
        cut = [short(name, 18) for name in names]
        drawn.axes.set_yticks(places, cut)
        drawn.axes.set_ylim(len(names) - 0.4, -0.6)
        drawn.legend()
    return drawn.svg


def bars(
    label: str, x_label: str, names: Sequence[str], values: Sequence[float]
) -> str:
    """Draw a horizontal bar for each name."""
    height = 0.8 + 0.3 * len(names)
    with chart(label, x_label, "", height=height) as drawn:
        drawn.axes.barh(range(len(names)), values, color=SERIES[1], height=0.6)
        cut = [short(name, 24) for name in names]
        drawn.axes.set_yticks(range(len(names)), cut)
        drawn.axes.invert_yaxis()
    return drawn.svg


def curve(label: str, parts: np.ndarray, heat: np.ndarray | None) -> str:
    """Draw a waveform, darker where a model's answer depends on it.

    Args:
        label: What the curve is.
        parts: Lowest and highest value of each part, `(parts, 2)`.
        heat: How much each part counts, 0 to 1, `(parts,)`; `None` for all
            alike.
    """
    with chart(label, "", "", height=1.6, grid=False) as drawn:
        places = np.arange(len(parts))
        drawn.axes.vlines(
            places, parts[:, 0], parts[:, 1], color=FAINT, linewidth=1
        )
        if heat is not None:
            for place in np.flatnonzero(heat > 0.1):
                drawn.axes.vlines(
                    place,
                    *parts[place],
                    color=SERIES[1],
                    linewidth=1.6,
                    alpha=float(heat[place]),
                )
        drawn.axes.set_axis_off()
    return drawn.svg
