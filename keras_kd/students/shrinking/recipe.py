"""Makes the narrower counterpart of one layer of the teacher."""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from math import gcd
from math import prod
from typing import Any

import keras
from keras import layers

from keras_kd.core.keras_internals import flatten_layers
from keras_kd.students.scaling import rounded
from keras_kd.students.shrinking.composite import from_config
from keras_kd.students.shrinking.composite import inner_changes
from keras_kd.students.shrinking.composite import is_composite
from keras_kd.students.shrinking.layer_kinds import ELEMENTWISE
from keras_kd.students.shrinking.layer_kinds import channel_axis
from keras_kd.students.shrinking.layer_kinds import follows_input
from keras_kd.students.shrinking.layer_kinds import inner
from keras_kd.students.shrinking.layer_kinds import is_depthwise
from keras_kd.students.shrinking.layer_kinds import is_kind
from keras_kd.students.shrinking.layer_kinds import made_width
from keras_kd.students.shrinking.layer_kinds import widened
from keras_kd.students.shrinking.settled import copied
from keras_kd.students.shrinking.settled import has_settled_state
from keras_kd.students.shrinking.widths import Widths

Shape = tuple[int | None, ...]
Rule = Callable[..., Any]


@dataclass(frozen=True)
class Plan:
    """What to do with a teacher's layers, which are identified by `id()`.

    Args:
        width: Multiplier of the widths.
        heads: Layers that make the logits.
        head_units: Units of the head, None for the teacher's.
        to_logits: Operations that give probabilities and become linear.
        multiple: See `rounded`.
        rules: The caller's rules, by layer class.
        passed_over: See `live_calls`.
        widths: Widths of the layers, None until they are decided.
    """

    width: float
    heads: set[int]
    head_units: int | None
    to_logits: set[int]
    multiple: int = 1
    rules: Mapping[type, Rule] = field(default_factory=dict)
    passed_over: dict[int, int] = field(default_factory=dict)
    widths: Widths | None = None

    def rule(self, operation: Any) -> Rule | None:
        """Return the caller's rule for a layer's nearest class, if any."""
        kinds = type(operation).__mro__
        return next((self.rules[x] for x in kinds if x in self.rules), None)


def remade(operation: Any, new: list[Shape], plan: Plan) -> Any:
    """Return the student's counterpart of an operation of the teacher.

    Args:
        operation: Layer or operation of the teacher.
        new: Shapes of its inputs in the student, without the batch.
        plan: What to change.

    Raises:
        ValueError: If the layer's width cannot be changed.
    """
    if id(operation) in plan.to_logits and made_width(operation) is None:
        # Not removed: it may be what casts the logits to float32.
        return layers.Activation(
            "linear",
            name=operation.name,
            dtype=getattr(operation, "dtype_policy", None),
        )
    old = [tuple(tensor.shape[1:]) for tensor in _tensors(operation)]
    rule = plan.rule(operation)
    if rule is not None:
        return _by_rule(rule, operation, old, new, plan.width)
    config = _fresh(operation.get_config())
    _check_changeable(operation, old, new)
    if is_composite(operation):
        planned = plan.widths.units(id(operation)) if plan.widths else None
        config |= inner_changes(
            operation, config, new[0], planned, plan.width, plan.multiple
        )
        return from_config(type(operation), config)
    if has_settled_state(operation):
        return copied(operation, config, new)
    if isinstance(operation, layers.TimeDistributed):
        each = config["layer"]["config"]
        each |= _changes(operation, each, old, new, plan)
    else:
        config |= _changes(operation, config, old, new, plan)
    return type(operation).from_config(config)


def reshaped(target: Shape, old: Shape, new: Shape) -> Shape | None:
    """Adapt the target of a Reshape to an input whose channels changed.

    Args:
        target: Output shape of the teacher's layer, without -1 and without
            the batch axis.
        old: Shape of the teacher's input.
        new: Shape of the student's input.

    Returns:
        The target with its channel count scaled; None if no entry can be
        scaled.

    >>> reshaped((1, 1, 64), old=(64,), new=(16,))
    (1, 1, 16)
    """
    changed = [i for i in range(len(old)) if old[i] != new[i]]
    if not changed:
        return target
    (count, now), last = (
        (old[changed[0]], new[changed[0]]),
        changed[0] == len(old) - 1,
    )
    if len(changed) > 1 or count is None or now is None:
        return None
    order = range(len(target))
    if last:
        order = order[::-1]
    same = [i for i in order if target[i] == count]
    other = [i for i in order if i not in same and target[i]]
    for i in same + other:
        size = target[i]
        if size is not None and (size * now) % count == 0:
            result = (*target[:i], size * now // count, *target[i + 1 :])
            if None in result or None in new or _prod(result) == _prod(new):
                return result
    return None


def _by_rule(
    rule: Rule,
    operation: Any,
    old: list[Shape],
    new: list[Shape],
    width: float,
) -> Any:
    """Make the student's layer by the caller's rule."""
    made = rule(operation, _fresh(operation.get_config()), old, new, width)
    if isinstance(made, keras.layers.Layer):
        return made
    if not isinstance(made, dict):
        raise TypeError(
            f"its rule gave {type(made).__name__}, neither a config nor a layer"
        )
    return type(operation).from_config(made)


def _changes(
    operation: Any, config: dict, old: list[Shape], new: list[Shape], plan: Plan
) -> dict:
    """Return the entries of the config that differ in the student."""
    changes: dict[str, Any] = {}
    width = made_width(operation)
    if width is not None:
        units = _units(operation, width, new, plan)
        changes |= widened(inner(operation), config, units)
    if config.get("groups", 1) > 1:
        changes["groups"] = _groups(operation, config, new)
    if "projection_dim" in config:  # LayerScale of ConvNeXt
        changes["projection_dim"] = new[0][-1]
    if isinstance(operation, layers.Reshape):
        changes["target_shape"] = _target(operation, old, new)
    elif "newshape" in config:  # keras.ops.reshape
        changes["newshape"] = (-1, *_target(operation, old, new))
    if id(operation) in plan.to_logits and "activation" in config:
        changes["activation"] = "linear"
    return changes


def _units(operation: Any, units: int, new: list[Shape], plan: Plan) -> int:
    """Return the width of a layer in the student."""
    if id(operation) in plan.heads:
        return plan.head_units or units
    if is_depthwise(operation):
        channels = new[0][channel_axis(operation)] or 1
        return units // operation.groups * channels
    planned = plan.widths.units(id(operation)) if plan.widths else None
    # No planned width: only a removed block used this layer, and the student
    # does not use it.
    return planned or rounded(units, plan.width, plan.multiple)


def _groups(operation: Any, config: dict, new: list[Shape]) -> int:
    """Return the groups of a convolution or normalization in the student."""
    channels = new[0][channel_axis(operation)] or 1
    if is_depthwise(operation):
        return channels
    if isinstance(operation, layers.GroupNormalization):
        return gcd(config["groups"], channels)
    return config["groups"]


def _target(operation: Any, old: list[Shape], new: list[Shape]) -> Shape:
    """Return the target of a Reshape in the student."""
    target = reshaped(tuple(operation.output.shape[1:]), old[0], new[0])
    if target is None:
        raise ValueError(
            f"it makes {tuple(operation.output.shape[1:])} of {old[0]}, and "
            f"no entry of that fits {new[0]}"
        )
    # Reshape accepts one unknown size, written as -1.
    return tuple(-1 if size is None else size for size in target)


def _check_changeable(
    operation: Any, old: list[Shape], new: list[Shape]
) -> None:
    """Refuse layers with a hidden width."""
    if isinstance(operation, layers.Lambda):
        raise ValueError("a Lambda may hold any code")
    if _is_quantized(operation):
        raise ValueError("it is quantized; give the float model")
    hidden = (
        isinstance(operation, layers.Layer)
        and operation.weights
        and made_width(operation) is None
        and not follows_input(operation)
        and not is_composite(operation)
        and not has_settled_state(operation)
        and not hasattr(operation, "projection_dim")
    )
    if hidden:
        raise ValueError("it has weights of a width of its own")
    grouped = getattr(inner(operation), "groups", 1) > 1
    if grouped and inner(operation) is not operation:
        raise ValueError("the groups inside it cannot be followed")
    if is_kind(operation, ELEMENTWISE) and len(old) > 1:
        _check_partners(operation, old, new)


def _is_quantized(operation: Any) -> bool:
    """Tell whether a layer, or a layer inside it, is quantized."""
    if not isinstance(operation, layers.Layer):
        return False
    policies = [layer.dtype_policy for layer in flatten_layers(operation)]
    return any(getattr(p, "quantization_mode", None) for p in policies)


def _check_partners(operation: Any, old: list[Shape], new: list[Shape]) -> None:
    """Refuse inputs whose sizes differ now, which Keras might broadcast."""
    first, first_new = old[0][::-1], new[0][::-1]
    for other, other_new in zip(old[1:], new[1:], strict=True):
        pairs = zip(
            zip(first, other[::-1], strict=False),
            zip(first_new, other_new[::-1], strict=False),
            strict=True,
        )
        if any(a == b and c != d for (a, b), (c, d) in pairs):
            raise ValueError(
                f"its inputs would be {' and '.join(map(str, new))}; the "
                "width of what comes from the model's input is fixed"
            )


def _fresh(config: Any) -> Any:
    """Copy a config without the entries from the teacher's training.

    Seeds would make all students start alike. Frozen weights and low-rank
    adapters would keep their random initial values.
    """
    if isinstance(config, dict):
        return {
            key: (
                None
                if key in {"seed", "lora_rank", "lora_alpha"}
                else True
                if key == "trainable"
                else _fresh(value)
            )
            for key, value in config.items()
            if key != "build_config"
        }
    if isinstance(config, list):
        return [_fresh(value) for value in config]
    return config


def _tensors(operation: Any) -> list:
    return keras.tree.flatten(operation.input)


def _prod(shape: Shape) -> int:
    return prod(size for size in shape if size is not None)
