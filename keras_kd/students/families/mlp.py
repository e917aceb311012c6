"""Dense networks."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.students.families.blocks import check_family
from keras_kd.students.families.blocks import check_rate
from keras_kd.students.scaling import scaled


def mlp(
    input_shape: Sequence[int],
    num_classes: int,
    width: float = 1.0,
    hidden: Sequence[int] = (1200, 1200),
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    max_norm: float | None = None,
) -> keras.Model:
    """A dense network with ReLU hidden layers, ending in logits.

    For small images and tabular data; a `convnet` of the same size is better
    on larger images. Inputs with several axes are flattened.

    Reference: Hinton, Vinyals and Dean 2015 (arXiv 1503.02531), section 3:
    the teacher on MNIST is `hidden=(1200, 1200)` with dropout and weight
    constraints (Hinton et al. 2012, arXiv 1207.0580: 0.5, and 0.2 on the
    input), the student `hidden=(800, 800)`.

    Args:
        input_shape: Shape of one example, without the batch axis.
        num_classes: Units of the head.
        width: Multiplier of the hidden widths, greater than 0.
        hidden: Units of each hidden layer, before `width`.
        dropout: Share of hidden units dropped in training, at least 0 and
            less than 1.
        input_dropout: Share of inputs dropped in training, likewise.
        max_norm: Largest norm of the weights into a hidden unit. Defaults to
            None, no constraint.

    Shapes:
        input: `(batch, *input_shape)`.
        output: `(batch, num_classes)`, logits.

    Returns:
        An untrained model named `mlp`. Its layers are `hidden_1`,
        `hidden_2`, ... (after the ReLU) and `logits`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.mlp((28, 28, 1), 10, hidden=(800, 800))
    >>> model.count_params()
    1276810
    """
    shape = check_family(
        "students.mlp", input_shape, num_classes, width, rank=None
    )
    if not isinstance(hidden, (tuple, list)):
        raise TypeError(
            requirement(
                "students.mlp", "hidden", "a list of layer widths", hidden
            )
        )
    for units in hidden:
        check_integer("students.mlp", "hidden", units, low=1)
    check_rate("students.mlp", "dropout", dropout)
    check_rate("students.mlp", "input_dropout", input_dropout)
    if max_norm is not None:
        check_number("students.mlp", "max_norm", max_norm, above=0)

    inputs = keras.Input(shape, name="input")
    x = layers.Flatten(name="flatten")(inputs) if len(shape) > 1 else inputs
    if input_dropout:
        x = layers.Dropout(input_dropout, name="input_dropout")(x)
    for number, units in enumerate(hidden, start=1):
        x = layers.Dense(
            scaled(units, width),
            activation="relu",
            kernel_initializer="he_normal",
            kernel_constraint=(
                None
                if max_norm is None
                else keras.constraints.MaxNorm(max_norm, axis=0)
            ),
            name=f"hidden_{number}",
        )(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout_{number}")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="mlp")
