"""A search that was killed equals one that was not."""

import json
import signal
import socket
from pathlib import Path

import h5py
import numpy as np
import processes
import pytest
import resume_run


def start(folder, moment="", **variables):
    """Start the search of `resume_run.py`; its folder holds its log."""
    arguments = (resume_run.search, folder, folder / "events", moment)
    return processes.start(folder / "log", *arguments, **variables)


def end(process, folder, code=0):
    """Wait for a process and check how it ended."""
    assert processes.end(process) == code, (folder / "log").read_text()


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
    end(start(folder), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    ["0:3:begin", "1:2:batch", "0:-1:weights"],
    ids=["between epochs", "in an epoch", "while saving"],
)
def test_a_killed_search_ends_as_if_it_had_not_been(whole, tmp_path, moment):
    end(start(tmp_path, moment), tmp_path, -signal.SIGKILL)
    done = epochs(tmp_path / "events")
    end(start(tmp_path), tmp_path)

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


@pytest.mark.slow
@pytest.mark.multi_worker
def test_a_chief_and_two_workers_find_what_one_process_finds(whole, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = [
        start(
            tmp_path,
            KERASTUNER_TUNER_ID=name,
            KERASTUNER_ORACLE_IP="127.0.0.1",
            KERASTUNER_ORACLE_PORT=port,
        )
        for name in ("chief", "worker_0", "worker_1")
    ]
    for process in started:
        end(process, tmp_path)
    folder = tmp_path / "search"
    assert len(list((folder / "teacher_cache").glob("*.shard"))) == 1
    # Values lose digits on the way to a worker.
    mine, other = weights(tmp_path), weights(whole)
    assert mine.keys() == other.keys()
    for name, array in mine.items():
        np.testing.assert_allclose(array, other[name], atol=1e-4)
    results = [
        json.loads((path / "test_result.json").read_text())
        for path in (folder, whole / "search")
    ]
    for name, value in results[0]["mean"].items():
        assert value == pytest.approx(results[1]["mean"][name], abs=1e-4)
