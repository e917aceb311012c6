"""Distillation losses: each method has one file, and one import here.

The import registers the method: it defines the public name, the string name
(the class name in snake_case), the line of `keras-kd losses` and the row of
the table of docs/losses.md, and the contract test demands a row for it.
"""

from typing import Any

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.losses.base import DistillationLoss
from keras_kd.losses.base import snake_case
from keras_kd.losses.class_balance import ClassBalance
from keras_kd.losses.keras_loss import KerasLoss
from keras_kd.losses.keras_loss import is_keras_loss
from keras_kd.losses.targets import class_mask
from keras_kd.losses.targets import has_label
from keras_kd.losses.targets import normal_labels
from keras_kd.losses.temperature import LearnableTemperature

# The methods, in the order in which they are listed.
# isort: off
from keras_kd.losses.soft_targets import SoftTargets as SoftTargets
from keras_kd.losses.hard_labels import HardLabels as HardLabels
from keras_kd.losses.logits_mse import LogitsMSE as LogitsMSE
from keras_kd.losses.target_regression import (
    TargetRegression as TargetRegression,
)
from keras_kd.losses.decoupled_kd import DecoupledKD as DecoupledKD
from keras_kd.losses.dist import DIST as DIST
from keras_kd.losses.transformed_teacher_matching import (
    TransformedTeacherMatching as TransformedTeacherMatching,
)
from keras_kd.losses.jensen_shannon import JensenShannon as JensenShannon
from keras_kd.losses.streamlined_kd import StreamlinedKD as StreamlinedKD
from keras_kd.losses.hint import Hint as Hint
from keras_kd.losses.attention_transfer import (
    AttentionTransfer as AttentionTransfer,
)
from keras_kd.losses.channel_wise import ChannelWise as ChannelWise
from keras_kd.losses.neuron_selectivity import (
    NeuronSelectivity as NeuronSelectivity,
)
from keras_kd.losses.variational_information import (
    VariationalInformation as VariationalInformation,
)
from keras_kd.losses.review_kd import ReviewKD as ReviewKD
from keras_kd.losses.sim_kd import SimKD as SimKD
from keras_kd.losses.similarity_preserving import (
    SimilarityPreserving as SimilarityPreserving,
)
from keras_kd.losses.relational_kd import RelationalKD as RelationalKD
from keras_kd.losses.probabilistic_knowledge_transfer import (
    ProbabilisticKnowledgeTransfer as ProbabilisticKnowledgeTransfer,
)
from keras_kd.losses.correlation_congruence import (
    CorrelationCongruence as CorrelationCongruence,
)
from keras_kd.losses.contrastive_representation import (
    ContrastiveRepresentation as ContrastiveRepresentation,
)
# isort: on

METHODS: dict[str, type[DistillationLoss]] = {
    snake_case(name): value
    for name, value in list(globals().items())
    if isinstance(value, type)
    and issubclass(value, DistillationLoss)
    and value not in (DistillationLoss, KerasLoss)
}

__all__ = [
    "METHODS",
    "ClassBalance",
    "DistillationLoss",
    "KerasLoss",
    "LearnableTemperature",
    "class_mask",
    "get",
    "has_label",
    "normal_labels",
]
__all__ += [cls.__name__ for cls in METHODS.values()]


def get(identifier: Any) -> DistillationLoss:
    """Return a loss from its name, or the loss itself.

    Args:
        identifier: A `DistillationLoss`, a name in `METHODS` (made with its
            defaults), or a loss instance of `keras.distillation`.

    Raises:
        TypeError: If it is none of these.
        ValueError: If the name is unknown; offers the nearest.

    Example:
    >>> import keras_kd
    >>> keras_kd.losses.get("soft_targets").temperature
    4.0
    """
    if isinstance(identifier, DistillationLoss):
        return identifier
    if isinstance(identifier, str):
        check_choice("Distiller", "losses", identifier, METHODS)
        return METHODS[identifier]()
    if is_keras_loss(identifier):
        return KerasLoss(identifier)
    raise TypeError(
        requirement(
            "Distiller",
            "losses",
            "a keras_kd.losses.DistillationLoss, its name, a loss of "
            "keras.distillation, or a list of them",
            identifier,
            "Make an instance: `SoftTargets()`, not `SoftTargets`."
            if isinstance(identifier, type)
            else "",
        )
    )
