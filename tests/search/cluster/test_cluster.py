"""A chief and two workers, in processes of their own."""

import json
import os
import signal
import socket
import time

import cheap_search
import pytest
from exhaustive import when_asked
from processes import PATIENCE
from processes import end
from processes import start

pytestmark = [pytest.mark.multi_worker, pytest.mark.slow]


class Cluster:
    """Starts processes of one search, and ends what is left of them."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    project = "kd"

    def start(self, tuner_id, *arguments, search=cheap_search.main):
        self.processes[tuner_id] = start(
            self.folder / f"{tuner_id}.log",
            search,
            self.folder,
            *arguments,
            KERASTUNER_ORACLE_IP="127.0.0.1",
            KERASTUNER_ORACLE_PORT=str(self.port),
            KERASTUNER_TUNER_ID=tuner_id,
        )

    def wait(self, tuner_id):
        return end(self.processes[tuner_id])

    def send(self, tuner_id, number):
        os.kill(self.processes[tuner_id].pid, number)

    def log(self, tuner_id):
        return (self.folder / f"{tuner_id}.log").read_text()

    def trials(self):
        """Return the trials that are being run, by worker."""
        path = self.folder / self.project / "oracle.json"
        return json.loads(path.read_text())["ongoing_trials"]

    def await_trial(self, *tuner_ids):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                running = self.trials()
            except (FileNotFoundError, ValueError):
                running = {}
            if set(tuner_ids) <= running.keys():
                return running
            time.sleep(0.05)
        raise TimeoutError(self.log("chief"))

    def outcome(self):
        return json.loads((self.folder / "outcome.json").read_text())


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    for process in made.processes.values():
        process.kill()
        process.join()


def test_a_killed_workers_trial_is_handed_out_again(cluster, tmp_path):
    # b is stuck in its trial until it is killed.
    cluster.start("chief", "random", 8, 0)
    cluster.start("b", "random", 8, 600)
    stuck = cluster.await_trial("b")["b"]
    cluster.start("a", "random", 8, 0.2)
    cluster.await_trial("a", "b")
    cluster.send("b", signal.SIGKILL)
    started = time.monotonic()
    assert cluster.wait("a") == 0, cluster.log("a")
    assert cluster.wait("chief") == 0, cluster.log("chief")
    # A lease of 8 s, 8 trials of 0.2 s, and the machine's own time: not b's
    # 600.
    assert time.monotonic() - started < 300
    found = cluster.outcome()
    assert {trial["status"] for trial in found} == {"COMPLETED"}
    oracle = cheap_search.oracle("random", 8)
    cheap_search.CheapTuner(oracle, tmp_path / "alone").search(verbose=0)
    alone = cheap_search.outcome(oracle)
    # A worker reads results after the chief is gone.
    best = (tmp_path / "a.best").read_text()
    assert best == (tmp_path / "chief.best").read_text()
    assert len(json.loads(best)) == 3
    assert stuck in [trial["id"] for trial in found]
    # The first two are drawn before any ended, when nothing is known yet of
    # what fits; that changes no draw here, as one of them fits.
    assert [t["values"] for t in found] == [t["values"] for t in alone]
    # The protocol's metrics are float32.
    assert [t["score"] for t in found] == pytest.approx(
        [t["score"] for t in alone], abs=1e-6
    )
    assert [t["message"] and t["message"][:10] for t in found] == [
        t["message"] and t["message"][:10] for t in alone
    ]


def test_the_chief_is_killed_and_started_again(cluster):
    cluster.start("chief", "random", 6, 0)
    cluster.start("a", "random", 6, 1.0)
    cluster.await_trial("a")
    cluster.send("chief", signal.SIGKILL)
    cluster.wait("chief")
    cluster.start("chief", "random", 6, 0)
    assert cluster.wait("a") == 0, cluster.log("a")
    assert cluster.wait("chief") == 0, cluster.log("chief")
    assert [t["status"] for t in cluster.outcome()] == ["COMPLETED"] * 6


def test_failures_end_chief_and_workers(cluster):
    cluster.start("chief", "random", 20, 0)
    cluster.start("b", "random", 20, 600)
    cluster.await_trial("b")
    cluster.start("a", "random", 20, -1)
    assert cluster.wait("a") == 1
    assert cluster.wait("b") == 1
    assert cluster.wait("chief") == 1
    for tuner_id in ("a", "b", "chief"):
        assert "3 trials failed, one after the other" in cluster.log(tuner_id)
    # KerasTuner's protocol drops what went wrong; ours brings it.
    assert "nothing to divide by" in cluster.log("chief")


@when_asked
def test_a_budget_nothing_can_meet_ends_chief_and_workers(cluster):
    # Workers wait for their chief: one that came after its end would wait long.
    cluster.start("a", "random", 20, 0, 50)
    cluster.start("b", "random", 20, 0, 50)
    cluster.start("chief", "random", 20, 0, 50)
    for tuner_id in ("a", "b", "chief"):
        assert cluster.wait(tuner_id) == 1
    why = "No student fits the budget"
    logs = [cluster.log(tuner_id) for tuner_id in ("a", "b")]
    # On a busy machine one of them comes when all is over.
    assert all(why in log or "See whether it runs" in log for log in logs)
    assert any(why in log for log in logs)
    assert why in cluster.log("chief")
    assert "OverBudgetError" in cluster.log("chief")


@when_asked
def test_a_worker_that_was_paused_leaves_its_trial_to_another(cluster):
    cluster.start("chief", "random", 6, 0)
    cluster.start("b", "random", 6, 6.0)
    paused = cluster.await_trial("b")["b"]
    cluster.send("b", signal.SIGSTOP)
    cluster.start("a", "random", 6, 0.5)
    until = time.monotonic() + PATIENCE
    while cluster.await_trial("a")["a"] != paused:
        assert time.monotonic() < until
        time.sleep(0.02)
    cluster.send("b", signal.SIGCONT)
    for tuner_id in ("a", "b", "chief"):
        assert cluster.wait(tuner_id) == 0, cluster.log(tuner_id)
    found = cluster.outcome()
    assert [trial["status"] for trial in found] == ["COMPLETED"] * 6
    values = [
        observation["value"]
        for trial in found
        for observation in trial["metrics"]["metrics"]["val_accuracy"][
            "observations"
        ]
    ]
    # Each trial was reported once.
    assert [len(value) for value in values] == [1] * 6


def test_a_second_chief_is_refused(cluster):
    cluster.start("chief", "random", 6, 0)
    until = time.monotonic() + PATIENCE
    while not (cluster.folder / "kd" / "oracle.json").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    cluster.start("chief2", "random", 6, 0)
    assert cluster.wait("chief2") == 1
    assert "Another process runs the search" in cluster.log("chief2")


@pytest.mark.slow
def test_students_trained_by_two_workers_one_of_them_killed(cluster, tmp_path):
    train = cheap_search.train_students
    cluster.project = "search"
    cluster.start("chief", search=train)
    cluster.start("b", search=train)
    cluster.await_trial("b")
    cluster.send("b", signal.SIGKILL)
    cluster.start("a", search=train)
    for tuner_id in ("a", "chief"):
        assert cluster.wait(tuner_id) == 0, cluster.log(tuner_id)
    alone = tmp_path / "alone"
    alone.mkdir()
    assert end(start(tmp_path / "alone.log", train, alone)) == 0
    expected = json.loads((alone / "outcome.json").read_text())
    found = cluster.outcome()
    assert [t["values"] for t in found] == [t["values"] for t in expected]
    # Initial weights come from the values, not from who trains them; the
    # protocol's numbers are float32.
    assert [t["score"] for t in found] == pytest.approx(
        [t["score"] for t in expected], abs=1e-6
    )
