"""Decides, in one place, what a model's outputs are.

The kind of an output is inferred from the layers that computed it, the loss
that it is trained with and arguments, never from its values, which cannot
tell a logit of 0.3 from a probability of 0.3, or from a price.

| kind | units | task |
|---|---|---|
| `"logits"`, `"probabilities"` | one per class | classes |
| `"binary_logits"`, `"binary_probabilities"` | one | two classes |
| the same | several | labels, each true or false |
| `"numbers"` | any | regression |
| `"embedding"` | several | a direction in space |
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_kd.core.checks import requirement
from keras_kd.core.heads import Head

CLASS_KINDS = (
    "logits",
    "probabilities",
    "binary_logits",
    "binary_probabilities",
)
KINDS = (*CLASS_KINDS, "numbers", "embedding")

# What a linear output is, by the name of the loss that trains it.
_TRAINED_BY = {
    "binarycrossentropy": "binary_logits",
    "binaryfocalcrossentropy": "binary_logits",
    "hinge": "binary_logits",
    "squaredhinge": "binary_logits",
    "categoricalcrossentropy": "logits",
    "categoricalfocalcrossentropy": "logits",
    "categoricalhinge": "logits",
    "sparsecategoricalcrossentropy": "logits",
    "huber": "numbers",
    "logcosh": "numbers",
    "meanabsoluteerror": "numbers",
    "meanabsolutepercentageerror": "numbers",
    "meansquarederror": "numbers",
    "meansquaredlogarithmicerror": "numbers",
    "poisson": "numbers",
    "cosinesimilarity": "embedding",
}
_REMEMBERED = "_keras_kd_outputs"
_PROBABILITY_TOLERANCE = 1e-2


def settle(
    head: Head,
    units: int | None,
    facts: Iterable[str | None],
    decided: str | None = None,
) -> Head:
    """Decide what an output is whose layers leave several possibilities.

    Args:
        head: What the layers tell.
        units: Size of the output's last axis.
        facts: What losses and the other model say about this output, the
            strongest first; `None` if nothing.
        decided: What was decided about the output before, if anything.

    Returns:
        The head with its kind. The kind is `None` if it is still open: a
        single linear unit may be the logit of two classes or a number.
    """
    if head.kind is not None and not head.linear:
        return head
    told = [fact for fact in facts if fact is not None]
    if head.kind is None and decided is not None:
        return head._replace(kind=decided, linear=False)
    if head.linear and told:
        return head._replace(kind=linear_kind(told[0]), linear=False)
    if head.linear:
        return head._replace(kind=None) if units == 1 else head
    # A loss does not tell logits from probabilities.
    other = told and not is_classes(told[0])
    return head._replace(kind=told[0]) if other else head


def linear_kind(kind: str) -> str:
    """Return the kind of the linear output that fits a kind."""
    return kind.replace("probabilities", "logits")


def kind_of_loss(loss: Any) -> str | None:
    """Infer what a linear output is from the loss that trains it.

    Args:
        loss: A loss as `compile` takes it for one output.

    Returns:
        `"logits"`, `"binary_logits"`, `"numbers"` or `"embedding"`; `None`
        for any other loss.
    """
    if loss is None or loss in ("crossentropy", "ce"):
        return None
    try:
        loss = keras.losses.get(loss)
    except ValueError:
        return None
    name = getattr(loss, "__name__", type(loss).__name__)
    return _TRAINED_BY.get(name.replace("_", "").lower())


def is_classes(kind: str | None) -> bool:
    """Return whether an output of this kind is about classes or labels."""
    return kind in CLASS_KINDS


def check_probabilities(
    values: np.ndarray, kind: str, *, subject: str, argument: str
) -> None:
    """Check that what a function returned can be the probabilities it claims.

    Logits taken as probabilities would be clipped without a word. Values do
    not tell a kind, but they can contradict it. A sum may be off by 0.01 and
    half a step of 1/256 for each class, as the softmax of an int8 file is
    rounded. NaN passes: it is found where the numbers are used.

    Args:
        values: `(batch, ..., units)`.
        kind: One of `KINDS`; only probabilities are checked.
        subject: Class or function to name in the error.
        argument: The argument that gave `kind`.

    Raises:
        ValueError: If a value is outside of [0, 1], or if the
            `"probabilities"` of a row do not sum to 1.
    """
    if kind not in ("probabilities", "binary_probabilities") or not values.size:
        return
    low, high = values.min(-1), values.max(-1)
    total = values.sum(-1, dtype=np.float64)
    bad = (low < -_PROBABILITY_TOLERANCE) | (high > 1 + _PROBABILITY_TOLERANCE)
    meaning = "are between 0 and 1"
    if kind == "probabilities":
        most = _PROBABILITY_TOLERANCE + values.shape[-1] / 512
        bad |= np.abs(total - 1) > most
        meaning += " and sum to 1 over the classes"
    if not bad.any():
        return
    row = np.flatnonzero(bad)[0]
    low, high, total = (np.ravel(part)[row] for part in (low, high, total))
    other = linear_kind(kind)
    advice = f"Use {other!r} if they are logits"
    if kind == "probabilities":
        advice += ", or a binary kind if each unit is a label of its own"
    raise ValueError(
        requirement(
            subject,
            argument,
            "the kind of what the function returns",
            kind,
            f"But a row has minimum {low:.4g}, maximum {high:.4g} and sum "
            f"{total:.4g}, and probabilities {meaning}. {advice}.",
        )
    )


def remember(model: Any, kinds: Iterable[str | None]) -> None:
    """Note on a model what its outputs were decided to be.

    The note lives as long as the object; a file of the model lacks it.
    """
    object.__setattr__(model, _REMEMBERED, tuple(kinds))


def remembered(model: Any) -> tuple[str | None, ...]:
    """Return the note on a model, `()` without one."""
    found: tuple[str | None, ...] = getattr(model, _REMEMBERED, ())
    return found


def by_name(outputs: Any) -> dict[Any, Any]:
    """Return a model's outputs by key or index; a single one by `None`."""
    if isinstance(outputs, dict):
        return dict(outputs)
    if isinstance(outputs, (list, tuple)):
        if len(outputs) == 1:
            return {None: outputs[0]}
        return dict(enumerate(outputs))
    return {None: outputs}


def output_keys(outputs: Any) -> list[Any]:
    """Return the key of each leaf of a model's outputs, see `by_name`."""
    count = len(keras.tree.flatten(outputs))
    numbered = keras.tree.pack_sequence_as(outputs, list(range(count)))
    found = {
        number: key
        for key, part in by_name(numbered).items()
        for number in keras.tree.flatten(part)
    }
    return [found[number] for number in range(count)]


def place_of(names: list[Any], output: Any, *, subject: str, role: str) -> int:
    """Return the place of the output that the user chose.

    Args:
        names: Names or indices of a model's outputs, in their order.
        output: A name or an index. Not used for a single output.
        subject: Function to name in the error.
        role: The model's role in the error.

    Raises:
        ValueError: If there is no such output among several.
    """
    if len(names) == 1:
        return 0
    # Files call the outputs of a list `output_0`, `output_1` and so on.
    for name in (output, f"output_{output}"):
        if name in names:
            return names.index(name)
    raise ValueError(
        requirement(
            subject,
            "output",
            f"one of the {role}'s outputs, {', '.join(map(repr, names))}",
            output,
            "One output is measured at a time.",
        )
    )


def loss_kinds(loss: Any, keys: list[Any]) -> dict[Any, str | None]:
    """Infer the kinds of outputs from what was given to `compile`.

    Args:
        loss: The `loss` of `compile`: one for all outputs, a list or a dict.
        keys: The outputs' names or indices.
    """
    if isinstance(loss, dict):
        return {key: kind_of_loss(loss.get(key)) for key in keys}
    if isinstance(loss, (list, tuple)):
        each = zip(keys, loss, strict=False)
        return {key: kind_of_loss(item) for key, item in each}
    return {key: kind_of_loss(loss) for key in keys}


def trained_kinds(model: Any, outputs: Any) -> dict[Any, str | None]:
    """Infer the kinds of a model's outputs from the loss it has."""
    keys = output_keys(outputs)
    loss = getattr(model, "loss", None)
    if isinstance(loss, dict) and keys and not isinstance(keys[0], str):
        names = getattr(model, "output_names", None) or []
        loss = [loss.get(name) for name in names]
    return loss_kinds(loss, keys)
