"""What chief and workers send in addition to KerasTuner's own messages.

It travels as metadata of KerasTuner's calls, so KerasTuner's own workers and
chiefs work with those of this package.
"""

import os
from typing import Any

# How often a worker sends a heartbeat.
HEARTBEAT_SECONDS = 5.0
# A worker that is silent this long is forgotten, and its trial is handed out
# again.
LEASE_SECONDS = 60.0
# How often an idle worker asks again, and the chief checks its workers.
POLL_SECONDS = 0.5
# How long a worker waits for the chief to start or restart.
ANSWER_SECONDS = 600.0
# How long a chief waits when there is no worker.
NO_WORKER_SECONDS = 3600.0

TUNER = "keras-kd-tuner"
BEAT = "keras-kd-beat"
MESSAGE = "keras-kd-message-bin"
# gRPC allows 8 KiB for all metadata of a call.
_MESSAGE_BYTES = 4000


def address() -> str:
    """Return the address that the chief listens on."""
    host = os.environ["KERASTUNER_ORACLE_IP"]
    return f"{host}:{os.environ['KERASTUNER_ORACLE_PORT']}"


def encode(message: str | None) -> bytes:
    """Encode the end of a message, where a traceback names the error."""
    return (message or "").encode("utf-8")[-_MESSAGE_BYTES:]


def decode(content: bytes) -> str | None:
    """Return the message that `encode` encoded; `None` if it is empty."""
    return content.decode("utf-8", errors="replace") or None


def metadata(context: Any) -> dict[str, Any]:
    """Return the metadata of a call."""
    return dict(context.invocation_metadata() or ())
