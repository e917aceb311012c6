"""The arithmetic of the losses, in log space and without state.

Every loss takes logits `(batch, ..., classes)` and returns one value per
example and position, `(batch, ...)`, in the dtype of the logits. Lengths and
roots have finite gradients.
"""

from typing import Any

from keras import ops


def kl_divergence(teacher_logits: Any, student_logits: Any) -> Any:
    """Kullback-Leibler divergence from teacher to student, over classes.

    The divergence is `sum_c p_c (log p_c - log q_c)`, where p and q are the
    two softmaxes. If they are close (at high temperatures), that sum suffers
    from cancellation in float32. So the equal `sum_c q_c - p_c - p_c r_c` is
    computed, where r is `log q - log p`: no term of it is negative, and
    `q - p` is `p expm1(r)` where the two are close.

    A class that the student masks with minus infinity is left out for both
    models; a class that only the teacher masks has the target 0.

    Args:
        teacher_logits: `(batch, ..., classes)`, already divided by the
            temperature.
        student_logits: The same shape.

    Returns:
        `(batch, ...)`.
    """
    masked = ops.equal(student_logits, -float("inf"))
    return _kl_divergence(
        ops.where(masked, student_logits, teacher_logits), student_logits
    )


@ops.custom_gradient
def _kl_divergence(teacher_logits: Any, student_logits: Any) -> Any:
    """Compute the divergence with the gradient `q - p` that it has on paper.

    To differentiate the forward pass would take twice the time and memory.
    """
    log_p = ops.log_softmax(teacher_logits, axis=-1)
    log_q = ops.log_softmax(student_logits, axis=-1)
    p, q = ops.exp(log_p), ops.exp(log_q)
    # Where p is 0, any ratio of at least 0.5 gives the term q.
    ratio = ops.where(p > 0, log_q - log_p, 1.0)
    gaps = ops.where(ratio < 0.5, p * ops.expm1(ratio), q - p)
    divergence = ops.sum(gaps - p * ratio, axis=-1)

    def gradients(*arguments: Any, upstream: Any = None) -> tuple[Any, Any]:
        (upstream,) = arguments or (upstream,)
        upstream = ops.expand_dims(upstream, -1)
        surprise = ratio + ops.expand_dims(divergence, -1)
        return -upstream * p * surprise, upstream * (q - p)

    return divergence, gradients


def standardize(logits: Any) -> Any:
    """Z-score of each row of logits: `(z - mean) / (std + 1e-7)`.

    The standard deviation is unbiased (n - 1). Masked classes (minus
    infinity) stay masked and do not count.

    Args:
        logits: `(batch, ..., classes)`.

    Returns:
        The same shape.
    """
    masked = ops.equal(logits, -float("inf"))
    kept = ops.where(masked, 0.0, logits)
    ones = ops.where(masked, 0.0, ops.ones_like(logits))
    count = ops.sum(ones, axis=-1, keepdims=True)
    mean = ops.sum(kept, axis=-1, keepdims=True) / ops.maximum(count, 1.0)
    centred = ops.where(masked, 0.0, logits - mean)
    variance = ops.sum(
        ops.square(centred), axis=-1, keepdims=True
    ) / ops.maximum(count - 1.0, 1.0)
    return ops.where(masked, logits, centred / (root(variance) + 1e-7))


def soft_targets(
    teacher_logits: Any,
    student_logits: Any,
    temperature: Any,
    standardized: bool = False,
) -> Any:
    """Temperature-scaled distillation: `T^2 KL(p_t(T) to p_s(T))`.

    Args:
        teacher_logits: `(batch, ..., classes)`. Constant.
        student_logits: The same shape.
        temperature: T, greater than 0.
        standardized: Replace both rows by their z-scores first.

    Returns:
        `(batch, ...)`.
    """
    if standardized:
        teacher_logits = standardize(teacher_logits)
        student_logits = standardize(student_logits)
    temperature = ops.convert_to_tensor(temperature, dtype=student_logits.dtype)
    divergence = kl_divergence(
        teacher_logits / temperature, student_logits / temperature
    )
    return ops.square(temperature) * divergence


def hard_labels(teacher_logits: Any, student_logits: Any) -> Any:
    """Cross-entropy of the student with the teacher's most likely class.

    Args:
        teacher_logits: `(batch, ..., classes)`. Constant.
        student_logits: The same shape.

    Returns:
        `(batch, ...)`.
    """
    return ops.sparse_categorical_crossentropy(
        ops.argmax(teacher_logits, axis=-1), student_logits, from_logits=True
    )


def logits_mse(
    teacher_logits: Any, student_logits: Any, temperature: Any = 1.0
) -> Any:
    """Mean over classes of the squared difference of `logits / T`.

    A class that either model masks with minus infinity adds 0 to the sum.

    Args:
        teacher_logits: `(batch, ..., classes)`. Constant.
        student_logits: The same shape.
        temperature: T, greater than 0. No T^2 factor.

    Returns:
        `(batch, ...)`.
    """
    lower = ops.minimum(teacher_logits, student_logits)
    masked = ops.equal(lower, -float("inf"))
    gap = ops.where(masked, 0.0, student_logits - teacher_logits)
    temperature = ops.convert_to_tensor(temperature, dtype=gap.dtype)
    return ops.mean(ops.square(gap), axis=-1) / ops.square(temperature)


def length(vectors: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """Euclidean length, with the gradient 0 where the length is 0.

    Args:
        vectors: A tensor.
        axis: The axis of the vectors' components.
        keepdims: Whether that axis stays, with size 1.

    Returns:
        The lengths, without the axis.
    """
    squares = ops.sum(ops.square(vectors), axis=axis, keepdims=keepdims)
    return root(squares)


def root(squares: Any) -> Any:
    """Square root, with the gradient 0 at 0 instead of infinity.

    Args:
        squares: A tensor of numbers of at least 0.

    Returns:
        The same shape.
    """
    positive = squares > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, squares, 1.0)), 0.0)


def unit(vectors: Any, epsilon: float = 0.0) -> Any:
    """Divide by the length plus `epsilon`, over the last axis.

    Vectors of zeros stay zeros, with the gradient 0.

    Args:
        vectors: `(..., dimensions)`.
        epsilon: Number of at least 0.

    Returns:
        The same shape.
    """
    lengths = length(vectors, keepdims=True)
    positive = lengths > 0
    divisor = ops.where(positive, lengths, 1.0) + epsilon
    return ops.where(positive, vectors / divisor, 0.0)
