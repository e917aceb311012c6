"""Chooses the examples of each part: the same files give the same parts."""

from typing import Any
from typing import NamedTuple

import numpy as np

from keras_kd.data.sources.source import Part

# The held-out examples are the same for every `seed`, so that runs with
# different seeds are measured on the same examples.
_SEED = 20150309


class Rows(NamedTuple):
    """Rows of a part of the source.

    Attributes:
        origin: Name of that part.
        rows: Their numbers, ascending.
    """

    origin: str
    rows: np.ndarray


def hold_out(
    parts: dict[str, Part],
    *,
    test_share: float,
    validation_share: float,
    max_train: int | None,
    seed: int,
) -> tuple[dict[str, Rows], dict[str, Any]]:
    """Choose the rows of each part; take missing parts from the training part.

    Where the labels are known without reading the data, each class gives its
    share (a class of two or more gives at least one), and equal examples stay
    in one part.

    Returns:
        Part to its rows, and how each part was made as JSON values.
    """
    train = parts["train"]
    rng = np.random.default_rng(_SEED)
    rows = rng.permutation(train.count)
    if train.hashes is not None:
        first = np.unique(train.hashes, return_index=True)[1]
        alone = np.isin(rows, first)
    else:
        alone = np.ones(len(rows), bool)
    candidates = rows[alone]
    chosen: dict[str, Rows] = {}
    made: dict[str, Any] = {"train": "given"}
    shares = {"test": test_share, "validation": validation_share}
    for name, share in shares.items():
        if name in parts:
            chosen[name] = Rows(name, np.arange(parts[name].count))
            made[name] = "given"
            continue
        if not share:
            continue
        taken = _share(candidates, train.labels, share)
        candidates = candidates[~np.isin(candidates, taken)]
        chosen[name] = Rows("train", np.sort(_with_equals(taken, train.hashes)))
        made[name] = {
            "held_out_of": "train",
            "share": share,
            "seed": _SEED,
            "stratified": train.labels is not None,
        }
    kept = np.sort(_with_equals(candidates, train.hashes))
    if max_train is not None and max_train < len(kept):
        order = np.random.default_rng(seed).permutation(kept)
        kept = np.sort(order[:max_train])
        made["train"] = {"max_train": max_train, "seed": seed}
    return {"train": Rows("train", kept), **chosen}, made


def _share(
    candidates: np.ndarray, labels: np.ndarray | None, share: float
) -> np.ndarray:
    if labels is None:
        return candidates[: int(len(candidates) * share)]
    taken = []
    for label in np.unique(labels[candidates]):
        mine = candidates[labels[candidates] == label]
        count = max(round(len(mine) * share), 1)
        taken.append(mine[: min(count, len(mine) - 1)])
    return np.concatenate(taken)


def _with_equals(rows: np.ndarray, hashes: np.ndarray | None) -> np.ndarray:
    """Add the examples that equal one of the rows."""
    if hashes is None:
        return rows
    return np.flatnonzero(np.isin(hashes, hashes[rows]))
