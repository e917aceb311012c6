"""The published formulas in NumPy float64: another route to every number."""

import numpy as np


def log_softmax(logits):
    """Log-probabilities over the last axis."""
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def soft_targets(teacher, student, temperature=1.0):
    """T^2 KL, one value a row, in the plain probability form."""
    log_p = log_softmax(teacher / temperature)
    log_q = log_softmax(student / temperature)
    return temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(-1)


def hard_labels(teacher, student):
    """Cross-entropy with the teacher's most likely class."""
    label = teacher.argmax(-1)[..., None]
    return -np.take_along_axis(log_softmax(student), label, -1)[..., 0]


def logits_mse(teacher, student):
    """Mean squared difference over classes."""
    return ((teacher - student) ** 2).mean(-1)


def class_balance(counts, beta, labels):
    """Inverse effective numbers of examples; 1 without a label."""
    each = (1 - beta) / (1 - np.power(beta, np.array(counts, "float64")))
    return np.where(labels < 0, 1.0, (each / each.mean())[labels])


def four_bits(kernel, step):
    """-7 to 7 times a step a last axis."""
    return np.clip(np.rint(kernel / step), -7, 7) * step


def clipping_error(kernel, clip):
    """Expected squared error of 4 bits, one number a last axis.

    Equation 5 of Sakr et al. 2022 (arXiv 2206.06501): `clip**2 / (3 * 4**4)`
    for a weight inside, `(|w| - clip)**2` for one outside.
    """
    size = np.abs(np.float64(kernel)).reshape(-1, kernel.shape[-1])
    outside = (size - clip) ** 2
    return np.where(size <= clip, clip**2 / (3 * 4**4), outside).mean(axis=0)


def four_bit_steps(kernel):
    """The steps of the clips whose expected error is the least of 1000."""
    largest = np.abs(kernel).reshape(-1, kernel.shape[-1]).max(axis=0)
    clips = np.linspace(0.001, 1, 1000)[:, None] * largest
    errors = np.stack([clipping_error(kernel, clip) for clip in clips])
    return clips[errors.argmin(axis=0), np.arange(len(largest))] / 7
