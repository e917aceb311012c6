import numpy as np

from keras_kd.data.holding_out import hold_out
from keras_kd.data.sources.source import Part


def parts(labels=None, hashes=None, count=40):
    return {"train": Part(count, None, labels=labels, hashes=hashes)}


def held(parts, **changed):
    settings = {"test_share": 0.2, "validation_share": 0.1, "max_train": None}
    rows, made = hold_out(parts, **(settings | {"seed": 0} | changed))
    return {part: chosen.rows for part, chosen in rows.items()}, made


def test_parts_are_disjoint_and_whole():
    for labels in (None, np.arange(40, dtype="int32") % 3):
        rows, _ = held(parts(labels))
        every = np.concatenate(list(rows.values()))
        np.testing.assert_array_equal(np.sort(every), np.arange(40))
        assert all((np.diff(chosen) > 0).all() for chosen in rows.values())


def test_each_class_gives_its_share():
    labels = np.array([0] * 30 + [1] * 8 + [2] * 2, "int32")
    rows, made = held(parts(labels))
    shares = [np.bincount(labels[rows[p]], minlength=3).tolist() for p in rows]
    assert shares == [[22, 5, 1], [6, 2, 1], [2, 1, 0]]
    assert made["test"]["stratified"]


def test_equal_examples_stay_together():
    hashes = np.arange(40, dtype="uint64") // 4
    rows, _ = held(parts(np.zeros(40, "int32"), hashes))
    seen = [set(hashes[chosen].tolist()) for chosen in rows.values()]
    assert sum(map(len, seen)) == 10
    assert sum(map(len, rows.values())) == 40


def test_parts_that_are_there_are_whole():
    given = parts() | {"test": Part(7, None)}
    rows, made = held(given, max_train=5, seed=3)
    assert rows["test"].tolist() == list(range(7))
    assert len(rows["train"]) == 5
    assert made["test"] == "given"
    assert made["train"] == {"max_train": 5, "seed": 3}
