"""The charts of a report; each returns inline SVG."""

from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from keras_kd.core.imports import optional
from keras_kd.reporting.canvas import FAINT
from keras_kd.reporting.canvas import INK
from keras_kd.reporting.canvas import MARKERS
from keras_kd.reporting.canvas import SERIES
from keras_kd.reporting.canvas import chart


def lines(
    label: str,
    x_label: str,
    y_label: str,
    curves: Mapping[str, Sequence[float]],
    dashed: Mapping[str, Sequence[float]] | None = None,
) -> str:
    """Draw curves over 1, 2, 3, …; those in `dashed` in the same colours."""
    names = list(dict.fromkeys([*curves, *(dashed or {})]))
    with chart(label, x_label, y_label) as drawn:
        for group, style in ((curves, "-"), (dashed or {}, "--")):
            for name, values in group.items():
                series = names.index(name) % len(SERIES)
                drawn.axes.plot(
                    range(1, len(values) + 1),
                    values,
                    style,
                    color=SERIES[series],
                    label=name if style == "-" else f"{name}, validation",
                    marker=MARKERS[series],
                    markersize=3.5,
                    markevery=max(1, len(values) // 10),
                )
        drawn.axes.xaxis.get_major_locator().set_params(integer=True)
        drawn.axes.legend()
    return drawn.svg


def scatter(
    label: str,
    x_label: str,
    y_label: str,
    marks: Sequence[tuple[float, float, str, int]],
    front: Sequence[int] = (),
    names: Sequence[str] = (),
) -> str:
    """Draw points that have titles, and a line through some of them.

    Args:
        label: What the chart shows.
        x_label: What is on the horizontal axis.
        y_label: What is on the vertical axis.
        marks: x, y, title and number of the series of each point.
        front: Places of the points that the line joins.
        names: What to write beside each point.
    """
    with chart(label, x_label, y_label) as drawn:
        values = [mark[0] for mark in marks]
        if min(values) > 0 and max(values) > 5 * min(values):
            drawn.axes.set_xscale("log")
        drawn.axes.margins(0.12 if not names else 0.2)
        if len(front) > 1:
            drawn.axes.step(
                [marks[i][0] for i in front],
                [marks[i][1] for i in front],
                where="post",
                color=INK,
                linewidth=1,
                zorder=2,
            )
        for place, (x, y, title, series) in enumerate(marks):
            hollow = bool(front) and place not in front
            drawn.mark(x, y, title, series=series, hollow=hollow)
        for (x, y, *_), name in zip(marks, names, strict=False):
            right = _is_right(x, values)
            drawn.axes.annotate(
                name,
                (x, y),
                xytext=(-7 if right else 7, 3),
                textcoords="offset points",
                ha="right" if right else "left",
                fontsize=8,
            )
    return drawn.svg


def _is_right(x: float, values: Sequence[float]) -> bool:
    low, high = min(values), max(values)
    if low > 0 and high > 5 * low:
        x, low, high = (float(np.log(v)) for v in (x, low, high))
    return high > low and (x - low) / (high - low) > 0.5


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
                label=name,
            )
        drawn.axes.set(xlim=(0, 1.02), ylim=(0, 1.05))
        drawn.axes.legend(loc="upper left")
    return drawn.svg


def matrix(
    label: str,
    x_label: str,
    y_label: str,
    counts: np.ndarray,
    names: Sequence[str],
) -> str:
    """Draw a square for each pair of classes, stronger for more examples."""
    side = max(2.6, min(4.8, 1.2 + 0.32 * len(names)))
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
        short = [name if len(name) < 13 else f"{name[:11]}…" for name in names]
        drawn.axes.set_xticks(places, short, rotation=90, fontsize=8)
        drawn.axes.set_yticks(places, short, fontsize=8)
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
                label=name,
            )
        short = [name if len(name) < 19 else f"{name[:17]}…" for name in names]
        drawn.axes.set_yticks(places, short)
        drawn.axes.set_ylim(len(names) - 0.4, -0.6)
        drawn.axes.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2
        )
    return drawn.svg


def bars(
    label: str, x_label: str, names: Sequence[str], values: Sequence[float]
) -> str:
    """Draw a horizontal bar for each name."""
    height = 0.8 + 0.3 * len(names)
    with chart(label, x_label, "", height=height) as drawn:
        drawn.axes.barh(range(len(names)), values, color=SERIES[1], height=0.6)
        short = [name if len(name) < 25 else f"{name[:23]}…" for name in names]
        drawn.axes.set_yticks(range(len(names)), short)
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
