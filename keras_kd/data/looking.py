"""What is wrong with data, and what looks wrong."""

import numpy as np

from keras_kd.core.words import counted
from keras_kd.data.holding_out import Rows
from keras_kd.data.sources.source import KINDS
from keras_kd.data.sources.source import Part
from keras_kd.data.sources.source import Source
from keras_kd.data.sources.source import listed
from keras_kd.data.taker import Taker

# A teacher ahead of chance by less than this is hardly better than chance.
_AHEAD = 0.1
# What another order of the classes must explain, and add.
_EXPLAINED = 0.6
_GAIN = 0.2


def problems_of(
    source: Source, taker: Taker | None, scale: str | None
) -> list[str]:
    """Return what makes data unusable for a model."""
    problems = []
    if "train" not in source.parts:
        problems.append(f"no {KINDS[source.kind]}s to train on")
    if scale is not None and source.kind != "images":
        problems.append(f"{source.kind}, which has no range of pixels `scale`")
    elif scale is not None and source.range is None:
        problems.append(
            "pixels that are neither from 0 to 1, nor 0 to 255, nor -1 to 1, "
            "so that `scale` cannot convert them"
        )
    if taker is None or taker.num_classes is None:
        return problems
    have, want = len(source.class_names), taker.num_classes
    if not have:
        problems.append(
            f"labels that are no classes, and `{taker.name}` tells "
            f"{want} classes apart"
        )
    elif have > want or (have < want and not source.numbered):
        problems.append(
            f"the {have} classes {listed(source.class_names)}, and "
            f"`{taker.name}` has {want} outputs"
        )
    return problems


def duplicates(parts: dict[str, Part], rows: dict[str, Rows]) -> list[str]:
    """Return a warning for examples of the test part that are trained on."""
    train, test = rows["train"], rows.get("test")
    if test is None:
        return []
    learned, tested = parts[train.origin], parts[test.origin]
    if learned.hashes is None or tested.hashes is None:
        return []
    known = np.isin(tested.hashes[test.rows], learned.hashes[train.rows])
    if not known.any():
        return []
    names = listed(tested.names(row) for row in test.rows[known])
    return [
        f"{counted(int(known.sum()), 'test example')} also among the training "
        f"examples, which makes the test too easy: {names}."
    ]


def order_of_classes(
    taker: Taker, guesses: np.ndarray, y: np.ndarray, source: Source
) -> list[str]:
    """Return a warning if a teacher's classes may be in another order.

    Args:
        taker: The teacher.
        guesses: The classes that it chose.
        y: The right ones.
        source: The source.
    """
    names = source.class_names
    right = float(np.mean(guesses == y))
    usual = [
        int(np.bincount(guesses[y == c], minlength=len(names)).argmax())
        if (y == c).any()
        else -1
        for c in range(len(names))
    ]
    explained = float(np.mean(np.array(usual)[y] == guesses))
    is_other_order = sorted(usual) == list(range(len(names)))
    if (
        is_other_order
        and explained >= _EXPLAINED
        and explained >= right + _GAIN
    ):
        order = sorted(names, key=lambda name: usual[names.index(name)])
        return [
            f"`{taker.name}` seems to know the classes in another order: it "
            f"is right on {right:.1%} of {source.name!r} in the order "
            f"{listed(names)}, and would be on {explained:.1%} in the order "
            f"{listed(order)}. Rename the classes so that they are sorted in "
            "the teacher's order, such as `0_cat`, `1_dog`."
        ]
    if right < 1 / len(names) + _AHEAD:
        return [
            f"`{taker.name}` is hardly better than chance on "
            f"{source.name!r}: right on {right:.1%} of {len(names)} classes. "
            f"Its classes may be in another order than {listed(names)}, or "
            "its inputs prepared in another way."
        ]
    return []
