"""A search on several processes or machines: one chief, many workers.

The protocol and the environment variables are KerasTuner's. Every process
runs the same program; the one whose `KERASTUNER_TUNER_ID` contains "chief"
answers the others at `KERASTUNER_ORACLE_IP`, `KERASTUNER_ORACLE_PORT`. All
need the same project folder.
"""

import os
import time
from concurrent import futures
from typing import Any

import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute import utils

from keras_kd.search import protocol
from keras_kd.search import state
from keras_kd.search.chief import Chief
from keras_kd.search.worker import WorkerOracle


def is_chief() -> bool:
    """Whether this process is the chief of several."""
    return bool(utils.is_chief_oracle())


def is_worker() -> bool:
    """Whether this process is one of the workers."""
    return bool(utils.has_chief_oracle() and not utils.is_chief_oracle())


def may_overwrite(folder: str | os.PathLike[str]) -> bool:
    """Whether this process may throw a former search away.

    A worker may not: it would throw away its own chief's.

    Raises:
        RuntimeError: If another process searches in the folder.
    """
    if is_worker():
        return False
    if state.exists(folder):
        with state.locked(folder):
            pass
    return True


def connect(tuner: Any) -> None:
    """Give a worker's tuner an oracle that tells the chief it lives.

    Args:
        tuner: A tuner that was just made. Nothing happens on the chief, or
            where there is none.
    """
    if is_worker():
        tuner.oracle = WorkerOracle(tuner.oracle._oracle)


def serve(tuner: Any, verbose: Any = "auto") -> None:
    """Answer workers until the search is over.

    A worker that is silent for a minute is forgotten, and another goes on
    with its trial; the last ones wait for that as long as a trial runs. When
    the search ends with an error, the workers are told and end with it.

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
            # Without it a second chief at the same port would get a share
            # of the calls.
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
