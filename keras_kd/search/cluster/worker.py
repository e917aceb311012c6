"""A worker's side of a search on several machines."""

import threading
import time
from pathlib import Path
from typing import Any

import grpc
import keras_tuner

from keras_kd.search.cluster import protocol
from keras_kd.search.cluster import roles
from keras_kd.search.keras_tuner_internals import OracleClient
from keras_kd.search.keras_tuner_internals import Trial
from keras_kd.search.keras_tuner_internals import protos
from keras_kd.search.oracles import identity
from keras_kd.search.oracles import scoring
from keras_kd.search.oracles import state


def connected(oracle: Any) -> Any:
    """Return the oracle a tuner asks: on a worker, one that asks the chief.

    Args:
        oracle: The oracle of a new tuner. It is returned unchanged on the
            chief, and in a search of one process.
    """
    return WorkerOracle(oracle._oracle) if roles.is_worker() else oracle


class LostTrialError(RuntimeError):
    """The chief stopped hearing this worker and reassigned its trial."""


class WorkerOracle(OracleClient):
    """Forwards calls to the chief, and sends it heartbeats.

    Args:
        oracle: The worker's own oracle. Only its settings are used.
    """

    stub: Any

    def __init__(self, oracle: Any) -> None:
        super().__init__(oracle)
        self.stub = _ChiefStub(self.stub, self.tuner_id)
        self._trial_id = ""
        self._lost = ""
        self._ended: Exception | None = None
        self._done = threading.Event()
        self._heart: threading.Thread | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "budget":
            return self._oracle.budget
        return super().__getattr__(name)

    @property
    def seed(self) -> int:
        """The seed of the search; the chief may have drawn it."""
        seed: int = identity.read(self._folder)["seed"]
        return seed

    @property
    def trials(self) -> dict[str, Any]:
        """All trials, as the chief last saved them."""
        content = state.read_generations(self._folder / state.ORACLE)
        trials = map(Trial.from_state, content["trials"])
        return {trial.trial_id: trial for trial in trials}

    @property
    def _folder(self) -> Path:
        return Path(self._oracle._project_dir)

    def create_trial(self, tuner_id: str) -> Any:
        """Return the next trial; wait a moment if there is none yet."""
        self._raise_ended()
        trial = super().create_trial(tuner_id)
        running = trial.status == "RUNNING"
        self._trial_id = trial.trial_id if running else ""
        self._lost = ""
        if trial.status == "IDLE":
            time.sleep(protocol.POLL_SECONDS)
        elif trial.status == "STOPPED":
            self._done.set()
        if running and self._heart is None:
            self._heart = threading.Thread(target=self._beat, daemon=True)
            self._heart.start()
        return trial

    def end_trial(self, trial: Any) -> None:
        """Tell the chief how a trial ended."""
        self._raise_ended()
        if not self.should_report:
            return
        request = protos.get_service().EndTrialRequest(trial=trial.to_proto())
        # If the trial was handed to another worker, that worker ends it.
        try:
            self.stub.EndTrial(request, message=trial.message)
        except LostTrialError:
            pass
        finally:
            self._trial_id = ""

    def get_trial(self, trial_id: str) -> Any:
        """Return a trial; after the search, from the project's files."""
        if self._done.is_set():
            return self.trials[trial_id]
        return super().get_trial(trial_id)

    def get_best_trials(self, num_trials: int = 1) -> list[Any]:
        """Return the best trials whose students fit, at most `num_trials`."""
        return scoring.best(self.trials.values(), self.objective)[:num_trials]

    def check(self, trial_id: str) -> None:
        """Raise if this worker should stop its trial.

        Raises:
            FailedTrialError: If the trial was handed out again.
            RuntimeError: If the search ended with an error.
        """
        self._raise_ended()
        if trial_id == self._lost:
            raise keras_tuner.errors.FailedTrialError(
                f"Trial {trial_id} was handed out again: the chief did not "
                f"hear this worker for {protocol.LEASE_SECONDS:.0f} s."
            )

    def set_epochs(self, epochs: int) -> None:
        """Do nothing: the chief's own oracle plans with the epochs."""

    def _raise_ended(self) -> None:
        if self._ended is not None:
            self._done.set()
            raise self._ended

    def _beat(self) -> None:
        request = protos.get_service().GetTrialRequest
        while not self._done.wait(protocol.HEARTBEAT_SECONDS):
            trial_id = self._trial_id
            try:
                self.stub.beat(request(trial_id=trial_id))
            except LostTrialError:
                self._lost = trial_id
            except keras_tuner.errors.FatalRuntimeError as error:
                self._ended = error
                return
            except grpc.RpcError:
                continue  # The chief may come back.


class _ChiefStub:
    """Wraps KerasTuner's stub: adds the worker's ID, waiting and clear errors.

    Args:
        stub: KerasTuner's gRPC stub.
        tuner_id: The ID of the calling worker.
    """

    def __init__(self, stub: Any, tuner_id: str) -> None:
        self._stub = stub
        self._signature = (protocol.TUNER, tuner_id)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._stub, name)

        def answered(
            request: Any, message: str | None = None, **ignored: Any
        ) -> Any:
            metadata = (
                self._signature,
                (protocol.MESSAGE, protocol.encode(message)),
            )
            until = time.monotonic() + protocol.ANSWER_SECONDS
            while True:
                try:
                    return call(
                        request,
                        metadata=metadata,
                        wait_for_ready=True,
                        timeout=until - time.monotonic(),
                    )
                except grpc.RpcError as error:
                    if error.code() != grpc.StatusCode.UNAVAILABLE:
                        raise _readable(error) from error
                # The chief was stopped in the middle of its answer, and may
                # come back. Each call may be repeated: the chief gives a
                # worker the trial that it has, and refuses to end one twice.
                time.sleep(protocol.POLL_SECONDS)

        return answered

    def beat(self, request: Any) -> None:
        """Send a heartbeat."""
        try:
            self._stub.GetTrial(
                request,
                metadata=(self._signature, (protocol.BEAT, "1")),
                timeout=protocol.HEARTBEAT_SECONDS,
            )
        except grpc.RpcError as error:
            if error.code() in _CHIEF_ERRORS:
                raise _readable(error) from error
            raise


_CHIEF_ERRORS = (grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION)


def _readable(error: Any) -> Exception:
    """Return the exception that describes a failed call."""
    if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
        return LostTrialError(error.details())
    if error.code() == grpc.StatusCode.ABORTED:
        return keras_tuner.errors.FatalRuntimeError(
            f"The chief ended the search. {error.details()}"
        )
    return keras_tuner.errors.FatalRuntimeError(
        f"The chief at {protocol.address()} did not answer "
        f"({error.code().name}: {error.details()}). See whether it runs, and "
        "whether KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT are its own."
    )
