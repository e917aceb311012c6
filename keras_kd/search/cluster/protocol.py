"""What chief and workers say beside KerasTuner's own messages.

It travels as metadata of KerasTuner's calls, so that its own workers and
chiefs understand ours.
"""

import os
from typing import Any

# How often a worker says that it lives, in the call for its trial.
HEARTBEAT_SECONDS = 5.0
# A worker not heard for so long is forgotten, its trial handed out again.
LEASE_SECONDS = 60.0
# How often a worker that has to wait asks again, and the chief looks around.
POLL_SECONDS = 0.5
# How long a worker waits for the chief to start, or to be started anew.
ANSWER_SECONDS = 600.0
# How long a chief waits when there is no worker at all.
NO_WORKER_SECONDS = 3600.0

TUNER = "keras-kd-tuner"
BEAT = "keras-kd-beat"
MESSAGE = "keras-kd-message-bin"
# gRPC allows 8 KiB for all metadata of a call.
_MESSAGE_BYTES = 4000


def address() -> str:
    """Return where the chief listens."""
    host = os.environ["KERASTUNER_ORACLE_IP"]
    return f"{host}:{os.environ['KERASTUNER_ORACLE_PORT']}"


def encode(message: str | None) -> bytes:
    """Return the end of a message, where a traceback says what happened."""
    return (message or "").encode("utf-8")[-_MESSAGE_BYTES:]


def decode(content: bytes) -> str | None:
    """Return a message that `encode` made."""
    return content.decode("utf-8", errors="replace") or None


def metadata(context: Any) -> dict[str, Any]:
    """Return what came with a call."""
    return dict(context.invocation_metadata() or ())
