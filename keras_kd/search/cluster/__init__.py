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
from keras_kd.search.cluster.worker import connect

__all__ = ["connect", "is_chief", "is_worker", "may_overwrite", "serve"]
