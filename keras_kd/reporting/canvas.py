"""Axes to draw on, whose picture becomes SVG in the page's colours."""

import hashlib
import io
import re
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

from keras_kd.core.imports import optional

# Matplotlib draws with these; the page replaces each by a colour of its theme.
INK, FAINT, PAPER = "#000001", "#000002", "#000003"
SERIES = ("#0000a1", "#0000a2", "#0000a3", "#0000a4", "#0000a5", "#0000a6")
_THEMED = {
    INK: "currentColor",
    FAINT: "var(--faint)",
    PAPER: "var(--paper)",
    **{
        colour: f"var(--series-{place})"
        for place, colour in enumerate(SERIES, start=1)
    },
}
# Told apart without colour.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_STYLE = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.color": FAINT,
    "grid.linewidth": 0.4,
    "legend.edgecolor": FAINT,
    "legend.facecolor": PAPER,
    "legend.fontsize": 9,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "keras_kd",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}
# Points: a phone shows it at its own size.
_WIDTH, _HEIGHT = 4.2, 3.0


class Chart:
    """One pair of axes that is drawn on and then becomes SVG.

    Args:
        axes: Matplotlib's axes.
    """

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        self.svg = ""
        self._titles: list[str] = []

    def mark(
        self,
        x: float,
        y: float,
        title: str,
        *,
        series: int = 0,
        hollow: bool = False,
        name: str | None = None,
    ) -> None:
        """Draw a point that shows a title when a pointer is over it."""
        colour = SERIES[series % len(SERIES)]
        (artist,) = self.axes.plot(
            [x],
            [y],
            MARKERS[series % len(MARKERS)],
            color=colour,
            markerfacecolor=PAPER if hollow else colour,
            markersize=6,
            linestyle="none",
            label=name and short(name, 20),
            zorder=3,
        )
        self.titled(artist, title)

    def titled(self, artist: Any, title: str) -> None:
        """Show a title when a pointer is over an artist."""
        artist.set_gid(f"titled-{len(self._titles)}")
        self._titles.append(title)

    def legend(self) -> None:
        """Name what is drawn, above the axes, where it hides nothing."""
        self.axes.figure.legend(
            loc="outside upper left", ncols=2, frameon=False
        )

    def finish(self, figure: Any, label: str) -> None:
        """Turn the figure into SVG with a label for screen readers."""
        content = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(content, format="svg", metadata=nothing)
        self.svg = _inline(content.getvalue(), label, self._titles)


@contextmanager
def chart(
    label: str,
    x_label: str,
    y_label: str,
    *,
    height: float = _HEIGHT,
    grid: bool = True,
) -> Iterator[Chart]:
    """Yield a chart to draw on; afterwards its `svg` is there.

    Args:
        label: What the chart shows, for screen readers.
        x_label: What is on the horizontal axis.
        y_label: What is on the vertical axis.
        height: Inches; the width is 4.2.
        grid: Whether to draw lines behind it.
    """
    matplotlib = optional("matplotlib", "report", "`keras_kd.report`")
    figures = optional("matplotlib.figure", "report", "`keras_kd.report`")
    with matplotlib.rc_context():
        matplotlib.rcParams.update({**matplotlib.rcParamsDefault, **_STYLE})
        figure = figures.Figure(figsize=(_WIDTH, height))
        axes = figure.subplots()
        axes.locator_params(axis="x", nbins=6)
        axes.set(xlabel=short(x_label, 40), ylabel=short(y_label, 30))
        axes.grid(grid)
        axes.set_axisbelow(True)
        drawn = Chart(axes)
        yield drawn
        drawn.finish(figure, label)


def short(text: str, most: int) -> str:
    """Cut a text that a chart has no room for; tables have all of it."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _inline(svg: str, label: str, titles: Sequence[str]) -> str:
    """Make a file's SVG a part of a page."""
    svg = svg[svg.index("<svg") :]
    # A style in a drawing would hold for the whole page, which has its own.
    for left_out in ("metadata", "style"):
        svg = re.sub(
            rf"<{left_out}\b.*?</{left_out}>\s*", "", svg, flags=re.DOTALL
        )
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    for colour, themed in _THEMED.items():
        svg = svg.replace(colour, themed)
    for place, title in enumerate(titles):
        start = f'<g id="titled-{place}">'
        svg = svg.replace(start, f"{start}<title>{escape(title)}</title>")
    # Several charts are in one page, and no two of its ids may be equal.
    prefix = f"c{hashlib.sha256(svg.encode()).hexdigest()[:8]}-"
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    opened = (
        f'<svg {box[0] if box else ""} role="img" aria-label="{escape(label)}" '
        'xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return re.sub(r"<svg[^>]*>", lambda _: opened, svg, count=1)
