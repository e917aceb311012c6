"""A search that was killed equals one that was not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run(folder, events, moment=""):
    paths = [str(ROOT), str(ROOT / "tests")]
    return subprocess.run(
        [sys.executable, HERE / "resume_run.py", folder, events, moment],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )


def weights(folder):
    """Every array of every trial's best weights, optimizer included."""
    found = {}
    for path in sorted(Path(folder).glob("*/trial_*/checkpoint.weights.h5")):
        with h5py.File(path) as file:

            def keep(name, item, trial=path.parent.name):
                if isinstance(item, h5py.Dataset):
                    found[trial, name] = np.array(item)

            file.visititems(keep)
    return found


def epochs(events):
    return [int(line) for line in Path(events).read_text().split()]


def trials(folder):
    files = sorted(Path(folder).glob("*/trial_*/trial.json"))
    found = [json.loads(file.read_text()) for file in files]
    return [
        (t["hyperparameters"]["values"], t["score"], t["metrics"], t["status"])
        for t in found
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    result = run(folder, folder / "events")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    ["0:3:begin", "1:2:batch", "0:-1:weights"],
    ids=["between epochs", "in an epoch", "while saving"],
)
def test_a_killed_search_ends_as_if_it_had_not_been(whole, tmp_path, moment):
    killed = run(tmp_path, tmp_path / "events", moment)
    assert killed.returncode == -9, killed.stderr
    done = epochs(tmp_path / "events")
    resumed = run(tmp_path, tmp_path / "events")
    assert resumed.returncode == 0, resumed.stderr

    # No epoch that had ended was trained again.
    expected = epochs(whole / "events")
    assert epochs(tmp_path / "events") == expected
    assert 0 < len(done) < len(expected)
    assert trials(tmp_path) == trials(whole)
    mine, other = weights(tmp_path), weights(whole)
    assert mine.keys() == other.keys()
    assert len({trial for trial, _ in mine}) == 2
    assert not list(Path(tmp_path).glob("*/trial_*/.*")), "scratch files"
    for name, array in mine.items():
        np.testing.assert_array_equal(array, other[name], err_msg=str(name))
