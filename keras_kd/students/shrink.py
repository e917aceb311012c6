"""A smaller student, derived from the teacher."""

from math import floor
from typing import Any

import keras

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.students.graph import head_path
from keras_kd.students.graph import is_graph
from keras_kd.students.graph import operations
from keras_kd.students.graph import removable_runs
from keras_kd.students.graph import view
from keras_kd.students.graph import width_key
from keras_kd.students.recipe import Plan
from keras_kd.students.recipe import copy_state
from keras_kd.students.recipe import group_multiple
from keras_kd.students.recipe import remade


def shrink(
    teacher: keras.Model,
    width: float = 0.5,
    depth: float = 1.0,
    num_classes: int | None = None,
) -> keras.Model:
    """Derive a smaller, untrained model from a Functional or Sequential one.

    The quickest way to a student, and one whose layers pair with the
    teacher's by name. Parameters fall with about the square of `width`.
    Where a network made for devices exists, such as the families of
    `keras_kd.students`, it can be the better student at equal size.

    Every Dense, convolution, recurrent and embedding layer gets
    `max(1, round(width * units))` units; all else follows: normalization,
    depthwise convolutions (their multiplier is kept), shortcuts, Reshape
    layers that hold a channel count. Around grouped convolutions widths are
    rounded to multiples of the groups.

    The head keeps its units and gives **logits**: a softmax or sigmoid at
    the end of the teacher, in the last layer or after it, becomes linear.

    Kept: names of layers, input names, shapes and types, dtype policies,
    regularizers, constraints, the statistics of a `Normalization` layer. Not
    kept: weights, `compile`, seeds, frozen layers and `training=False`
    calls (a student has to train). A Sequential teacher gives a Functional
    student.

    Args:
        teacher: A built Functional or Sequential model, nested ones
            included, whose output is a classifier's.
        width: Multiplier of all widths, above 0 and at most 1.
        depth: Share of the blocks to keep, above 0 and at most 1, in every
            run of blocks with one shape: residual blocks with an identity
            shortcut, or, in a model that is one chain, layers whose output
            has the shape of their input. `floor(depth * n + 0.5)` of `n`
            stay, the last one longest. Blocks that change the shape stay.
        num_classes: Units of the head. Defaults to the teacher's.

    Returns:
        A new model named `<teacher>_student`, untrained and not compiled.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range, the teacher is
            subclassed or not built, its output is no classifier's, a layer
            cannot be narrowed (the message names it), or nothing can be
            made smaller.

    Example:
    >>> import keras_kd
    >>> teacher = keras_kd.students.mlp((64,), 10, hidden=(100, 100))
    >>> student = keras_kd.students.shrink(teacher, width=0.1)
    >>> teacher.count_params(), student.count_params()
    (17610, 870)
    """
    _check_numbers(width, depth, num_classes)
    _check_graph(teacher)
    paths = [head_path(tensor) for tensor in teacher.outputs]
    if num_classes is not None and len(paths) > 1:
        raise ValueError(
            requirement(
                "students.shrink",
                "num_classes",
                f"None for a teacher with {len(paths)} outputs",
                num_classes,
            )
        )
    plan = Plan(
        width=width,
        heads={id(path[0]) for path in paths},
        head_units=num_classes,
        to_logits={id(operation) for path in paths for operation in path},
        multiple=group_multiple(operations(teacher)),
    )
    wide = [o for o in operations(teacher) if width_key(o) is not None]
    if width < 1 and all(id(operation) in plan.heads for operation in wide):
        raise ValueError(
            requirement(
                "students.shrink",
                "teacher",
                "a model with a Dense or convolution layer before its head",
                teacher,
            )
        )
    if depth < 1:
        plan.passed_over.update(_plan_depth(teacher, depth, plan))
    return _Shrinker(teacher, plan).model(
        teacher, name=f"{teacher.name}_student"
    )


class _Shrinker:
    """Replays the teacher's graph with new layers."""

    def __init__(self, teacher: keras.Model, plan: Plan) -> None:
        self._teacher = teacher
        self._plan = plan
        self._made: dict[int, Any] = {}

    def model(
        self,
        source: keras.Model,
        shapes: list[tuple] | None = None,
        name: str | None = None,
    ) -> keras.Model:
        """Make a model again, for inputs of its own or of given shapes."""
        # A view on the same tensors is never compiled, so that the clone does
        # not get the teacher's loss, which may expect probabilities.
        replayed = view(source, name)
        inputs = []
        for index, tensor in enumerate(replayed.inputs):
            config = tensor._keras_history.operation.get_config()
            if shapes is not None:
                config["batch_shape"] = shapes[index]
            inputs.append(keras.layers.InputLayer.from_config(config).output)
        return keras.models.clone_model(
            replayed,
            input_tensors=keras.tree.pack_sequence_as(replayed.input, inputs),
            clone_function=lambda operation: operation,
            call_function=self._call,
        )

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Make an operation again and call it; remember it if shared."""
        tensors = [
            leaf
            for leaf in keras.tree.flatten((args, kwargs))
            if isinstance(leaf, keras.KerasTensor)
        ]
        if id(operation) in self._plan.passed_over:
            return tensors[self._plan.passed_over[id(operation)]]
        if kwargs.get("training") is False:
            del kwargs["training"]
        if id(operation) in self._plan.to_logits and len(tensors) == 1:
            # A Softmax layer takes a mask that its linear successor does not.
            kwargs.pop("mask", None)
        clone = self._made.get(id(operation))
        if is_graph(operation):
            if clone is None:
                clone = self.model(operation, [t.shape for t in tensors])
                self._made[id(operation)] = clone
            return clone(*args, **kwargs)
        try:
            if clone is None:
                shapes = [tuple(tensor.shape[1:]) for tensor in tensors]
                clone = remade(operation, shapes, self._plan)
                self._made[id(operation)] = clone
            outputs = clone(*args, **kwargs)
            copy_state(operation, clone)
        except Exception as error:
            raise self._refusal(operation, error) from error
        return outputs

    def _refusal(self, operation: Any, error: Exception) -> ValueError:
        """Name the layer that does not fit, and what to do."""
        reason = " ".join(str(error).replace("\x1b[1m", "").split())
        return ValueError(
            requirement(
                "students.shrink",
                "teacher",
                "made of layers that can be narrowed one by one",
                self._teacher,
                f"The layer `{operation.name}` ({type(operation).__name__}) "
                f"cannot: {reason[:300].rstrip('.')}. Write the student by "
                "hand, or take a family such as `keras_kd.students.convnet`.",
            )
        )


def _check_numbers(width: Any, depth: Any, num_classes: Any) -> None:
    for argument, value in (("width", width), ("depth", depth)):
        advice = "It is a share of the teacher's, such as 0.5."
        check_number(
            "students.shrink",
            argument,
            value,
            above=0,
            high=1,
            advice=advice,
        )
    if num_classes is not None:
        check_integer("students.shrink", "num_classes", num_classes, low=1)


def _check_graph(teacher: Any) -> None:
    """Refuse what has no known layers, or hides them in a subclass."""
    message = requirement(
        "students.shrink",
        "teacher",
        "a built Functional or Sequential model, its nested models too",
        teacher,
        "Add a keras.Input to a Sequential model; for a subclassed one write "
        "the student by hand, or take a family such as "
        "`keras_kd.students.convnet`.",
    )
    if not isinstance(teacher, keras.Model):
        raise TypeError(message)
    if not is_graph(teacher) or not teacher.built:
        raise ValueError(message)
    for operation in operations(teacher):
        if isinstance(operation, keras.Model):
            raise ValueError(f"{message} `{operation.name}` is subclassed.")


def _plan_depth(
    teacher: keras.Model, depth: float, plan: Plan
) -> dict[int, int]:
    """Choose the blocks to pass over, in every nested model on its own."""
    models = [view(teacher)]
    runs = []
    for model in models:
        runs += removable_runs(model, plan.heads)
        models += [view(o) for o in model.operations if is_graph(o)]
    passed_over: dict[int, int] = {}
    for run in runs:
        gone = len(run) - floor(depth * len(run) + 0.5)
        # The last block goes last: its name is what feature losses tap.
        for block in [*run[-2::-1], run[-1]][:gone]:
            passed_over |= block
    if not passed_over:
        sizes = [len(run) for run in runs]
        advice = (
            f"Its runs have {sizes} blocks: use a smaller `depth`."
            if sizes
            else "It has no block that keeps its shape: use depth=1.0 and a "
            "smaller `width`."
        )
        raise ValueError(
            requirement(
                "students.shrink",
                "depth",
                "small enough to remove a block of the teacher",
                depth,
                advice,
            )
        )
    return passed_over
