"""The tables and the plot that `pages.py` makes of `growth.json`."""

from collections.abc import Sequence
from pathlib import Path

import growth
import record

IMAGES, TEACH, TRAIN, EPOCHS = 1_281_167, 2_500, 1_500, 100
Rows = list[list[str]]


def cells(kind: str, key: str) -> dict[float, float]:
    """Return a measured value by size: parameters for the teacher."""
    found = record.read("growth")["cells"]
    return {
        (params(size) if kind == "teacher" else size): found[f"{kind} {size}"][
            key
        ]
        for size in growth.SIZES[kind]
    }


def params(units: int) -> int:
    """Return the parameters of the teacher of two layers."""
    ends = (growth.FEATURES + 1) * units + 100 * (units + 1)
    return ends + units * (units + 1)


def steps_table() -> Rows:
    """Return the time of a step and the memory, by size."""
    keys = ("student_alone_ms", "teacher_forward_ms", "live_ms", "peak_mb")
    rows = [["", "student alone", "teacher forward", "live", "peak memory"]]
    for kind, name in (
        ("classes", "{:,} classes"),
        ("teacher", "teacher of {:,} parameters"),
        ("losses", "losses: {}"),
    ):
        by_size = [cells(kind, key) for key in keys]
        for size in by_size[0]:
            times = [f"{found[size]:.2f} ms" for found in by_size[:3]]
            memory = f"{by_size[3][size]:,.0f} MB"
            rows.append([name.format(size), *times, memory])
    return rows


def cache_table() -> Rows:
    """Return what a cache takes, by its examples."""
    rows = [["examples", "build", "open", "look-up", "memory", "disk"]]
    keys = ("build_seconds", "open_seconds", "look_up_us")
    for size in growth.SIZES["examples"]:
        seconds, opened, looked, memory, disk = (
            cells("examples", key)[size]
            for key in (*keys, "memory_mb", "disk_mb")
        )
        row = [f"{size:,}", f"{seconds:.1f} s", f"{opened:.2f} s"]
        row += [f"{looked:.2f} µs", f"{memory:,.0f} MB", f"{disk:,.1f} MB"]
        rows.append(row)
    return rows


def slopes_table() -> Rows:
    """Return by how much each quantity grows, from fitted lines."""
    rows = [["more", "time of a live step", "peak memory"]]
    for kind, per, name in (
        ("classes", 1000, "1,000 classes, batch of 64"),
        ("teacher", 10**6, "a million parameters of the teacher"),
        ("losses", 1, "one loss, 100 classes"),
    ):
        time, memory = (
            per * growth.slope(cells(kind, key))[0]
            for key in ("live_ms", "peak_mb")
        )
        rows.append([name, f"{time:+.2f} ms", f"{memory:+.1f} MB"])
    return rows


def imagenet_table() -> Rows:
    """Return the seconds of an epoch of ImageNet-1k."""
    look_up = cells("examples", "look_up_us")[10**6] / 1e6
    rows = [["", "arithmetic for one GPU", "one GPU", "eight GPUs"]]

    def row(name: str, arithmetic: str, seconds: float, share: int = 8) -> None:
        times = [f"{seconds / n:,.0f} s" for n in (1, share)]
        rows.append([name, arithmetic, *times])

    teach, train = IMAGES / TEACH, IMAGES / TRAIN
    row("teacher forward", f"{IMAGES:,} / {TEACH:,}", teach)
    row("student alone", f"{IMAGES:,} / {TRAIN:,}", train)
    row("live epoch", f"{teach:,.0f} + {train:,.0f}", teach + train)
    row(
        "look-ups, on the host, beside the GPU's work",
        f"{IMAGES:,} x {1e6 * look_up:.2f} µs",
        IMAGES * look_up,
        1,
    )
    row("cached epoch", "the longer of the two above", train)
    row(
        f"{EPOCHS} epochs, live",
        f"{EPOCHS} x {teach + train:,.0f}",
        EPOCHS * (teach + train),
    )
    row(
        f"{EPOCHS} epochs, cached, with the build",
        f"{teach:,.0f} + {EPOCHS} x {train:,.0f}",
        teach + EPOCHS * train,
    )
    return rows


def plot(path: Path) -> None:
    """Draw the step by classes, teacher and losses, and the cache."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot
    from matplotlib import ticker

    figure, axes = pyplot.subplots(
        1, 4, figsize=(10, 2.5), layout="constrained"
    )
    names: Sequence[tuple[str, str]] = (
        ("classes", "classes"),
        ("teacher", "teacher's parameters"),
        ("losses", "losses"),
    )
    for one, (kind, label) in zip(axes, names, strict=False):
        for key, name in (
            ("live_ms", "live"),
            ("student_alone_ms", "student alone"),
            ("teacher_forward_ms", "teacher forward"),
        ):
            found = cells(kind, key)
            one.plot(list(found), list(found.values()), "o-", label=name, ms=3)
        one.set_xlabel(label)
        if kind == "losses":
            one.set_ylim(0)
        else:
            one.set(xscale="log", yscale="log")
            one.yaxis.set_major_formatter("{x:g}")
            one.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes[0].set_ylabel("ms a step")
    axes[0].legend(fontsize=7)
    for key, name in (
        ("look_up_us", "look-up, µs"),
        ("open_seconds", "open, s"),
        ("memory_mb", "memory, MB"),
    ):
        found = cells("examples", key)
        axes[3].plot(list(found), list(found.values()), "o-", label=name, ms=3)
    axes[3].set(xlabel="cached examples", xscale="log", yscale="log")
    axes[3].yaxis.set_major_formatter("{x:g}")
    axes[3].legend(fontsize=7)
    figure.savefig(path, dpi=80, metadata={"Software": None})
    pyplot.close(figure)
