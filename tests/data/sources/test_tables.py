import json

import numpy as np
import pytest

from keras_kd.data import Taker
from keras_kd.data import load


@pytest.fixture
def write(tmp_path):
    """Return a function that writes lines to a file."""

    def make(name, lines):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    return make


def rows(dataset):
    return [
        (x, int(y))
        for xs, ys in dataset
        for x, y in zip(xs.numpy().tolist(), ys.numpy(), strict=True)
    ]


def test_numbers(write):
    lines = [f"{i},{i / 2},{'ab'[i % 2]}" for i in range(20)]
    splits = load(write("t.csv", ["height,weight,species", *lines]))
    assert (splits.kind, splits.input_shape) == ("numbers", (2,))
    assert splits.class_names == ("a", "b")
    found = rows(splits.train) + rows(splits.validation) + rows(splits.test)
    assert sorted(found) == [([i, i / 2], i % 2) for i in range(20)]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_texts(write, suffix):
    pairs = [(f'say "{i}", é', "yes" if i % 2 else "no") for i in range(20)]
    if suffix == "csv":
        lines = ["text,answer"]
        lines += ['"{}",{}'.format(t.replace('"', '""'), a) for t, a in pairs]
    else:
        lines = [json.dumps({"text": t, "answer": a}) for t, a in pairs]
    splits = load(write(f"t.{suffix}", lines), label="answer")
    assert (splits.kind, splits.input_shape) == ("text", ())
    found = rows(splits.train) + rows(splits.validation) + rows(splits.test)
    expected = [(t.encode(), ["no", "yes"].index(a)) for t, a in pairs]
    assert sorted(found) == sorted(expected)


def test_class_numbers_keep_their_meaning(write):
    # No example of class 1; the teacher has an output for it.
    lines = [f"{i},{[0, 2][i % 2]}" for i in range(20)]
    table = write("t.csv", ["x,label", *lines])
    splits = load(table, teacher=Taker("teacher", num_classes=4))
    assert {y for _, y in rows(splits.train)} == {0, 2}
    assert splits.num_classes == 3


def test_numbers_from_one_are_names(write):
    lines = [f"{i},{i % 10 + 1}" for i in range(40)]
    splits = load(write("t.csv", ["x,label", *lines]))
    assert splits.class_names == tuple(map(str, range(1, 11)))
    assert all(y == x[0] % 10 for x, y in rows(splits.train))


def test_targets_stay_numbers(write):
    lines = [f"{i},{i / 4}" for i in range(20)]
    splits = load(write("t.csv", ["x,target", *lines]))
    assert (splits.class_names, splits.num_classes) == ((), 0)
    x, y = next(iter(splits.train))
    np.testing.assert_array_equal(x[:, 0] / 4, y)


@pytest.mark.parametrize(
    ("lines", "arguments", "match"),
    [
        pytest.param(["a,b", "1,2"], {}, "The columns are a, b", id="no-label"),
        pytest.param(
            ["a,label", "1,2"],
            {"label": "lable"},
            "Did you mean 'label'",
            id="typo",
        ),
        pytest.param(["label", "1"], {}, "no column but 'label'", id="alone"),
        pytest.param(["a,label"], {}, "It has no rows", id="empty"),
        pytest.param(
            ["a,label", "1,2,3"], {}, "More cells.* row 1", id="cells"
        ),
        pytest.param(
            ["a,b,label", "1,x,2", "2,y,3"],
            {"kind": "numbers"},
            "The columns b hold no numbers",
            id="words",
        ),
        pytest.param(
            ["a,b,label", "u,x,2", "w,y,3"], {}, "may hold the text", id="which"
        ),
        pytest.param(
            ["a,label", ",0", "1,", "inf,1"],
            {},
            r"2 rows with NaN or infinite values: row 1, row 3.*\n"
            "- 1 missing label: row 2",
            id="missing",
        ),
    ],
)
def test_what_does_not_tell_is_said(write, lines, arguments, match):
    with pytest.raises(ValueError, match=match):
        load(write("t.csv", lines), **arguments)


def test_a_line_that_is_no_json(write):
    with pytest.raises(ValueError, match="Line 2: "):
        load(write("t.jsonl", ['{"text": "a", "label": 1}', "{"]))
