"""Derives a smaller student from a teacher."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.core.taps import carry
from keras_kd.students.shrinking.channels import Channels
from keras_kd.students.shrinking.depth import removed_blocks
from keras_kd.students.shrinking.inherit import importance
from keras_kd.students.shrinking.layer_kinds import made_width
from keras_kd.students.shrinking.recipe import Plan
from keras_kd.students.shrinking.recipe import Rule
from keras_kd.students.shrinking.replay import Replay
from keras_kd.students.shrinking.teacher_checks import SUBJECT as _SUBJECT
from keras_kd.students.shrinking.teacher_checks import check_graph
from keras_kd.students.shrinking.teacher_checks import check_head
from keras_kd.students.shrinking.teacher_checks import check_narrowable
from keras_kd.students.shrinking.teacher_checks import check_outputs
from keras_kd.students.shrinking.walk import head_path
from keras_kd.students.shrinking.walk import operations
from keras_kd.students.shrinking.walk import probabilities
from keras_kd.students.shrinking.widths import Widths


def shrink(
    teacher: keras.Model,
    width: float = 0.5,
    depth: float = 1.0,
    num_classes: int | None = None,
    *,
    multiple: int = 8,
    rules: Mapping[type, Rule] | None = None,
    initialize: str | None = None,
) -> keras.Model:
    """Derive a smaller model from a Functional or Sequential one.

    This is the quickest way to a student, and its layers have the names of
    the teacher's. The number of parameters falls with about the square of
    `width`. A network designed for devices, such as one of the families in
    `keras_kd.students`, can be the better student at equal size.

    Every Dense, convolution, recurrent and embedding layer, inside
    `TimeDistributed` too, gets `width` times its units, rounded to a
    `multiple`. Everything else adapts to these
    widths: normalization, depthwise convolutions (their multiplier is kept),
    shortcuts, Reshape layers that contain a channel count. The groups of a
    convolution keep equally many channels, and so do the two directions of a
    Bidirectional layer. Layers that hold others, such as
    `MultiHeadAttention` or a transformer block (KerasHub's or your own), are
    narrowed if their config names its widths `embed_dim`, `hidden_dim`,
    `intermediate_dim`, `ff_dim`, `mlp_dim` or the like. Attention loses whole
    heads before the heads get narrower.

    Outputs keep their sizes, and classifiers give **logits**: a softmax or
    sigmoid at the end of the teacher, in the last layer or after it, becomes
    linear. Anything else behind the last layer with a width is kept, such as
    a `UnitNormalization`.

    Kept: names of layers, input names, shapes and types, dtype policies,
    regularizers, constraints, and preprocessing layers with their state:
    vocabularies, statistics, spectrograms. Not kept: `compile`, seeds,
    frozen layers and `training=False` calls (a student has to train). A
    Sequential teacher gives a Functional student.

    Reference for `initialize="teacher"`: Li et al. 2017 (arXiv 1608.08710),
    section 3: the filters with the smallest L1 norms are removed. Departure:
    where layer outputs are added, the norms of these layers are summed; the
    paper uses the norms of the shortcut alone. Inside layers that hold
    others, heads and hidden units are chosen by the same norms.

    Args:
        teacher: A built Functional or Sequential model, nested ones
            included.
        width: Multiplier of all widths, above 0 and at most 1.
        depth: Share of the blocks to keep, above 0 and at most 1, in every
            run of blocks with one shape: residual blocks with an identity
            shortcut, blocks of a transformer that are one layer, or, in a
            model that is one chain, layers whose output has the shape of
            their input. `floor(depth * n + 0.5)` of `n` stay, the last one
            longest. Blocks that change the shape stay. With `depth=0.5`,
            `width=1.0` and `initialize="teacher"` the student starts from
            half of its teacher's blocks, as DistilBERT does (Sanh et al.
            2019, arXiv 1910.01108).
        num_classes: Units of the head. Defaults to the teacher's.
        multiple: Widths are rounded to a multiple of this number, at least
            1, and never below nine tenths of what `width` asks for. A width
            is rounded to an integer instead if the teacher's width is not
            such a multiple, or if `width` asks for less than twice the
            number. Defaults to 8, which suits vector units; 1 follows
            `width` most closely.
        rules: How to make the student's layers of a class, including
            classes that cannot be narrowed otherwise: `rules={LayerClass:
            function}`. It is called as `function(layer, config, old_shapes,
            new_shapes, width)`, with the shapes of the layer's inputs in
            teacher and student, without the batch axis, and returns the
            config of the student's layer, or the layer itself. If the output
            of such a layer has the shape of its input, the layer is assumed
            to keep the order of the channels.
        initialize: None for random weights; `"teacher"` to copy the
            teacher's weights for the channels whose kernels have the largest
            L1 norm. At `width=1.0` and `depth=1.0` the student then computes
            the same as the teacher. Two kinds of layers start at random if
            their weights have other shapes than the teacher's: those made by
            rules, and the head if `num_classes` differs.

    Returns:
        A new model named `<teacher>_student`, not compiled.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range, the teacher is
            subclassed or not built, an output would change its size, a
            layer cannot be narrowed (the message names it), its channels
            cannot be followed for `initialize="teacher"`, or nothing can be
            made smaller.

    Example:
    >>> import keras_kd
    >>> teacher = keras_kd.students.mlp((64,), 10, hidden=(100, 100))
    >>> student = keras_kd.students.shrink(teacher, width=0.1)
    >>> teacher.count_params(), student.count_params()
    (17610, 870)
    """
    _check_numbers(width, depth, num_classes)
    check_integer(_SUBJECT, "multiple", multiple, low=1)
    check_choice(_SUBJECT, "initialize", initialize, [None, "teacher"])
    rules = _checked_rules(rules)
    check_graph(teacher, rules)
    paths = [head_path(tensor) for tensor in teacher.outputs]
    heads = [path[0] for path in paths if made_width(path[0]) is not None]
    if num_classes is not None:
        check_head(paths, heads, num_classes)
    plan = Plan(
        width=width,
        heads={id(head) for head in heads},
        head_units=num_classes,
        to_logits={id(o) for path in paths for o in probabilities(path)},
        multiple=multiple,
        rules=rules,
    )
    if depth < 1:
        plan.passed_over.update(removed_blocks(teacher, depth, plan.heads))
    plan = replace(plan, widths=_widths(teacher, plan, initialize))
    replay = Replay(teacher, plan)
    student = replay.model(teacher, name=f"{teacher.name}_student")
    if num_classes is None and not rules:
        check_outputs(teacher, student, plan)
    if initialize == "teacher":
        replay.inherit()
    return carry(teacher, student, made_linear=True)


def _widths(teacher: keras.Model, plan: Plan, initialize: str | None) -> Widths:
    """Decide which channels each layer keeps."""
    channels = Channels(
        teacher,
        plan.heads,
        plan.passed_over,
        ruled=lambda operation: plan.rule(operation) is not None,
    )
    scores = None
    if initialize == "teacher":
        scores = {
            id(operation): importance(operation)
            for operation in operations(teacher)
            if id(operation) in channels.made and not plan.rule(operation)
        }
    widths = Widths(channels, plan.width, plan.multiple, scores)
    if widths.uneven:
        raise ValueError(
            requirement(
                _SUBJECT,
                "initialize",
                "None for a teacher whose channels are grouped in several "
                "ways, of which none keeps as many in every group",
                initialize,
                "Another `width` may do.",
            )
        )
    check_narrowable(teacher, plan, widths)
    return widths


def _checked_rules(rules: Any) -> Mapping[type, Rule]:
    rules = {} if rules is None else rules
    known = isinstance(rules, Mapping) and all(
        isinstance(kind, type) and callable(rule)
        for kind, rule in rules.items()
    )
    if not known:
        raise TypeError(
            requirement(
                _SUBJECT,
                "rules",
                "a dictionary from layer classes to functions",
                rules,
            )
        )
    return rules


def _check_numbers(width: Any, depth: Any, num_classes: Any) -> None:
    for argument, value in (("width", width), ("depth", depth)):
        advice = "It is a share of the teacher's, such as 0.5."
        check_number(
            _SUBJECT,
            argument,
            value,
            above=0,
            high=1,
            advice=advice,
        )
    if num_classes is not None:
        check_integer(_SUBJECT, "num_classes", num_classes, low=1)
