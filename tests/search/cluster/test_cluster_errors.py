"""A chief without workers, a worker without a chief, and the protocol."""

import socket
from concurrent import futures
from types import SimpleNamespace

import cheap_search
import grpc
import keras_tuner
import pytest

from keras_kd.search import cluster
from keras_kd.search.cluster import protocol
from keras_kd.search.cluster.worker import LostTrialError
from keras_kd.search.cluster.worker import WorkerOracle
from keras_kd.search.keras_tuner_internals import OracleServicer
from keras_kd.search.keras_tuner_internals import protos
from keras_kd.search.oracles import state


@pytest.fixture
def become(monkeypatch):
    """A function that makes this process the chief or a worker."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))
    return lambda name: monkeypatch.setenv("KERASTUNER_TUNER_ID", name)


def test_roles(become, monkeypatch):
    become("chief")
    assert (cluster.is_chief(), cluster.is_worker()) == (True, False)
    become("worker-1")
    assert (cluster.is_chief(), cluster.is_worker()) == (False, True)
    monkeypatch.delenv("KERASTUNER_ORACLE_IP")
    assert (cluster.is_chief(), cluster.is_worker()) == (False, False)


def test_a_worker_without_a_chief(become, monkeypatch, tmp_path):
    monkeypatch.setattr(protocol, "ANSWER_SECONDS", 0.3)
    become("worker-1")
    tuner = cheap_search.CheapTuner(cheap_search.oracle("random"), tmp_path)
    assert isinstance(tuner.oracle, WorkerOracle)
    assert tuner.oracle.budget is cheap_search.BUDGET
    with pytest.raises(
        RuntimeError, match="chief at 127.0.0.1:.* did not answer.*See whether"
    ):
        tuner.search(verbose=0)


def test_a_chief_stopped_in_the_middle_of_an_answer(become, monkeypatch):
    class Chief(OracleServicer):
        asked = 0

        def GetSpace(self, request, context):  # noqa: N802
            self.asked += 1
            if self.asked == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            return protos.get_service().GetSpaceResponse()

    monkeypatch.setattr(protocol, "POLL_SECONDS", 0.05)
    become("worker-1")
    chief = Chief(cheap_search.oracle("random"))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(chief, server)
    server.add_insecure_port(protocol.address())
    server.start()
    try:
        WorkerOracle(cheap_search.oracle("random")).get_space()
    finally:
        server.stop(grace=None).wait()
    assert chief.asked == 2


def test_a_chief_without_workers(become, monkeypatch, tmp_path):
    monkeypatch.setattr(protocol, "NO_WORKER_SECONDS", 0.2)
    monkeypatch.setattr(protocol, "POLL_SECONDS", 0.05)
    become("chief")
    tuner = cheap_search.CheapTuner(cheap_search.oracle("random"), tmp_path)
    with pytest.raises(RuntimeError, match="No worker called.*is saved"):
        tuner.search(verbose=0)
    assert state.exists(tmp_path / "kd")


def test_results_and_seed_on_a_worker(become, monkeypatch, tmp_path):
    alone = cheap_search.oracle("random", 6, seed=None)
    with monkeypatch.context() as context:
        context.delenv("KERASTUNER_ORACLE_IP")
        cheap_search.CheapTuner(alone, tmp_path).search(verbose=0)
    become("worker-1")
    own = cheap_search.oracle("random", 6, seed=None)
    found = cheap_search.CheapTuner(own, tmp_path).oracle
    assert found.seed == alone.seed
    assert cheap_search.outcome(found) == cheap_search.outcome(alone)
    assert [t.trial_id for t in found.get_best_trials(2)] == [
        t.trial_id for t in alone.get_best_trials(2)
    ]


def test_only_the_chief_may_overwrite(become, tmp_path):
    become("chief")
    assert cluster.may_overwrite(tmp_path)
    (tmp_path / "oracle.json").touch()
    assert cluster.may_overwrite(tmp_path)
    with (
        state.locked(tmp_path),
        pytest.raises(RuntimeError, match="Another process runs the search"),
    ):
        cluster.may_overwrite(tmp_path)
    become("worker-1")
    assert not cluster.may_overwrite(tmp_path)


def test_a_long_message_keeps_its_end():
    message = "é" * 5000 + "ValueError: the end"
    found = protocol.decode(protocol.encode(message))
    assert found.endswith("ValueError: the end")
    assert len(protocol.encode(message)) <= 4000
    assert protocol.decode(protocol.encode(None)) is None


def test_a_lost_trial_is_given_up(become, tmp_path):
    become("worker-1")
    oracle = WorkerOracle(cheap_search.oracle("random"))

    def lost(request, message=None):
        raise LostTrialError("handed out again")

    oracle.stub = SimpleNamespace(EndTrial=lost)
    plain = cheap_search.oracle("random")
    plain._set_project_dir(tmp_path, "kd")
    plain.verbose = 0
    trial = plain.create_trial("a")
    oracle.end_trial(trial)  # another worker's to end, and no error
    oracle.check(trial.trial_id)
    oracle._lost = trial.trial_id
    with pytest.raises(keras_tuner.errors.FailedTrialError, match="handed out"):
        oracle.check(trial.trial_id)
