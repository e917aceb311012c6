"""A search on several processes or machines: one chief, many workers.

The protocol and the environment variables are KerasTuner's. Every process
runs the same program; the one whose `KERASTUNER_TUNER_ID` contains "chief"
answers the others at `KERASTUNER_ORACLE_IP`, `KERASTUNER_ORACLE_PORT`. All
need the same project folder.
"""

from keras_kd.search.cluster.chief import serve
from keras_kd.search.cluster.roles import is_chief
from keras_kd.search.cluster.roles import is_worker
from keras_kd.search.cluster.roles import may_overwrite
from keras_kd.search.cluster.worker import WorkerOracle
from keras_kd.search.cluster.worker import connected
from keras_kd.search.oracles.search_oracle import SearchOracle

# A tuner's oracle: its own, or a worker's connection to the chief's.
AnyOracle = SearchOracle | WorkerOracle

__all__ = [
    "AnyOracle",
    "connected",
    "is_chief",
    "is_worker",
    "may_overwrite",
    "serve",
]
