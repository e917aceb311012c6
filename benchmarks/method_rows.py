"""How the benchmarks of losses use each method: one line a method, if any.

What is not listed has weight 1, the method's own defaults, and reads what its
kind does: logits, maps (`"feature"`) or vectors (`"relation"`).
"""

from typing import Any
from typing import NamedTuple

import keras
import torch_losses

from keras_kd.losses import METHODS
from keras_kd.losses import DistillationLoss
from keras_kd.losses import SoftTargets


class Row(NamedTuple):
    """What a method needs besides its defaults.

    Attributes:
        weight: The weight of its authors, beside soft targets of weight 1.
        arguments: Of its class, where the models' widths differ.
        adapted: Whether the student's maps need an adapter there.
    """

    weight: float = 1.0
    arguments: dict[str, Any] | None = None
    adapted: bool = False


ROWS = {
    "dist": Row(2.0),
    "hint": Row(100.0, adapted=True),
    "attention_transfer": Row(1000.0),
    "channel_wise": Row(5.0, adapted=True),
    "neuron_selectivity": Row(50.0),
    "similarity_preserving": Row(3000.0),
    "probabilistic_knowledge_transfer": Row(30000.0),
    "correlation_congruence": Row(0.02, {"embedding": 32}),
    "contrastive_representation": Row(0.8),
}
# SimKD takes another student, one with the teacher's head; TargetRegression
# is for numbers.
COMPARED = [
    name for name in METHODS if name not in ("sim_kd", "target_regression")
]
_NUM_EXAMPLES = 4096  # More than any benchmark has.
_LAYERS = {"logit": None, "feature": "maps", "relation": "vector"}


def layer(name: str) -> str | None:
    """Return the layer that a method reads; `None` for logits."""
    return _LAYERS[METHODS[name].kind]


def peer(name: str) -> Any:
    """Return the method in PyTorch, or `None` if there is none."""
    return getattr(torch_losses, name, None)


def equal_widths(name: str) -> DistillationLoss:
    """Return the loss for a teacher and a student of one width."""
    return METHODS[name](**_layers(name))


def narrower(name: str, channels: int) -> list[DistillationLoss]:
    """Return the losses to train a student of fewer channels with.

    Soft targets stand beside every method that does not read logits.

    Args:
        name: The method.
        channels: Channels of the teacher's maps.
    """
    row = ROWS.get(name, Row())
    arguments = {**(row.arguments or {}), **_layers(name), "weight": row.weight}
    if row.adapted:
        arguments["adapter"] = keras.layers.Conv2D(channels, 1)
    beside = [] if layer(name) is None else [SoftTargets()]
    return [*beside, METHODS[name](**arguments)]


def _layers(name: str) -> dict[str, Any]:
    read = layer(name)
    if read is None:
        return {}
    named = {"teacher_layer": read, "student_layer": read}
    if METHODS[name].needs_example_ids:
        return {**named, "num_examples": _NUM_EXAMPLES}
    return named
