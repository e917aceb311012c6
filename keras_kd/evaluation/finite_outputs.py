"""Refuses outputs that are not finite."""

import numpy as np

from keras_kd.core.checks import requirement


def check_finite(finite: np.ndarray, role: str, start: int) -> None:
    """Refuse a batch with an output that is not finite.

    Args:
        finite: Whether each output is, `(batch, ...)`.
        role: `"model"` or `"teacher"`.
        start: Number of the examples before this batch.

    Raises:
        ValueError: If one is not; the message names the first such example.
    """
    good = finite.reshape(len(finite), -1).all(-1)
    if good.all():
        return
    raise ValueError(
        requirement(
            "evaluate",
            role,
            "a model with finite outputs on the dataset",
            "NaN or inf",
            f"Example {start + int(np.argmin(good))} of the dataset, counted "
            "from 0, is the first that gives one. Look for NaN in its inputs, "
            "then in the weights.",
        )
    )
