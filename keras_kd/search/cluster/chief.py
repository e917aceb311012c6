"""The chief's side of a search on several machines."""

import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc

from keras_kd.search.cluster import protocol
from keras_kd.search.keras_tuner_internals import OracleServicer
from keras_kd.search.keras_tuner_internals import Trial
from keras_kd.search.keras_tuner_internals import protos
from keras_kd.search.oracles import state
from keras_kd.search.oracles.search_oracle import SearchOracle


class Chief(OracleServicer):
    """Answers workers, and notices when one stops responding.

    KerasTuner's own chief waits forever: for a worker that was killed, and
    for all workers when the search ends with an error.

    Args:
        oracle: The oracle of the search.
    """

    def __init__(self, oracle: SearchOracle) -> None:
        super().__init__(oracle)
        self.error: Exception | None = None
        self._heard: dict[str, float] = {}
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def CreateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Hand out a trial."""
        self._hear(request.tuner_id)
        create = super().CreateTrial
        return self._ending(context, lambda: create(request, context))

    def UpdateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take a trial's metrics, from the worker whose trial it is."""
        self._check_owner(request.trial_id, context)
        update = super().UpdateTrial
        return self._ending(context, lambda: update(request, context))

    def EndTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """End a trial, if it is assigned to the calling worker."""
        trial = Trial.from_proto(request.trial)
        self._check_owner(trial.trial_id, context)
        metadata = protocol.metadata(context)
        trial.message = protocol.decode(metadata.get(protocol.MESSAGE, b""))
        known = self.oracle.trials[trial.trial_id]
        name = self.oracle.objective.name
        if trial.status == "COMPLETED" and not known.metrics.exists(name):
            # A chief that was killed received the metrics but did not save
            # them: run the trial again.
            self.oracle.release(metadata.get(protocol.TUNER, ""))
            self._lose(trial.trial_id, context)
        self._ending(context, lambda: self.oracle.end_trial(trial))
        return protos.get_service().EndTrialResponse()

    def GetTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return a trial; a heartbeat only records that a worker is alive."""
        if protocol.BEAT not in protocol.metadata(context):
            return super().GetTrial(request, context)
        if self.error is not None:
            self._dismiss(context)
        self._hear(protocol.metadata(context)[protocol.TUNER])
        if request.trial_id:
            self._check_owner(request.trial_id, context)
        return protos.get_service().GetTrialResponse()

    def look_around(self) -> None:
        """Hand out the trials of workers that stopped responding.

        Raises:
            RuntimeError: If there was no worker for too long.
        """
        now = time.monotonic()
        for tuner_id in list(self.oracle.tuner_ids):
            with self._lock:
                heard = self._heard.setdefault(tuner_id, now)
            if now - heard > protocol.LEASE_SECONDS:
                self._forget(tuner_id)
        if self.oracle.tuner_ids:
            self._last = now
        if now - self._last > protocol.NO_WORKER_SECONDS:
            raise RuntimeError(
                f"No worker called the chief at {protocol.address()} for "
                f"{protocol.NO_WORKER_SECONDS:.0f} s. The search is saved: "
                "start the chief and the workers again to go on."
            )

    def is_over(self) -> bool:
        """Whether the search ended and every worker was told."""
        ended = self.stop_triggered or self.error is not None
        return ended and not (
            self.oracle.ongoing_trials or self.oracle.tuner_ids
        )

    def _hear(self, tuner_id: str) -> None:
        with self._lock:
            self._heard[tuner_id] = time.monotonic()

    def _forget(self, tuner_id: str) -> None:
        self.oracle.release(tuner_id)
        with self._lock:
            self._heard.pop(tuner_id, None)

    def _check_owner(self, trial_id: str, context: Any) -> None:
        """Refuse a worker whose trial was handed out again."""
        tuner_id = protocol.metadata(context).get(protocol.TUNER)
        if tuner_id is None:
            return
        self._hear(tuner_id)
        if not self.oracle.adopt(tuner_id, trial_id):
            self._lose(trial_id, context)

    def _lose(self, trial_id: str, context: Any) -> None:
        context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"Trial {trial_id} was handed out again.",
        )

    def _ending(self, context: Any, call: Callable[[], Any]) -> Any:
        """Return `call()`; if it raises, the whole search ends."""
        if self.error is None:
            try:
                return call()
            except Exception as error:
                self.error = error
        return self._dismiss(context)

    def _dismiss(self, context: Any) -> None:
        """Tell a worker why the search ended, and forget the worker."""
        tuner_id = protocol.metadata(context).get(protocol.TUNER)
        if tuner_id is not None:
            self._forget(tuner_id)
        context.abort(grpc.StatusCode.ABORTED, str(self.error)[-4000:])


def serve(tuner: Any, verbose: Any = "auto") -> None:
    """Answer workers until the search is over.

    A worker that is silent for a minute is forgotten, and another worker
    continues its trial; so idle workers wait while a trial is running. When
    the search ends with an error, the workers are told and stop too.

    Args:
        tuner: The chief's tuner.
        verbose: 0 for silence.

    Raises:
        OverBudgetError: If no student fits the budget.
        RuntimeError: If too many trials failed, if there is no worker, if
            the address is taken, or if another process searches here.
    """
    with state.locked(tuner.project_dir):
        tuner.oracle.verbose = verbose
        tuner.save()
        chief = Chief(tuner.oracle)
        server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=16),
            # Otherwise a second chief at the same port would get a share of
            # the calls.
            options=(("grpc.so_reuseport", 0),),
        )
        protos.get_service_grpc().add_OracleServicer_to_server(chief, server)
        server.add_insecure_port(protocol.address())
        server.start()
        try:
            while not chief.is_over():
                time.sleep(protocol.POLL_SECONDS)
                chief.look_around()
        finally:
            server.stop(grace=2.0).wait()
    if chief.error is not None:
        raise chief.error
