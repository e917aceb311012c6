"""What the contract test needs to know of one loss."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

_RNG = np.random.default_rng(0)
TEACHER = 4 * _RNG.normal(size=(6, 5))
STUDENT = 3 * _RNG.normal(size=(6, 5))
LABELS = _RNG.integers(0, 5, 6)


@dataclasses.dataclass(frozen=True)
class Row:
    """One loss with its arguments, example inputs and declared properties.

    Attributes:
        cls: The class.
        restated: Another route to its values in NumPy float64, from
            `(teacher, student, labels)`, `(batch, ...)`. With weights it
            takes the built loss as a fourth argument.
        arguments: Those that make it.
        teacher, student: Example inputs, as `call` gets them.
        labels: Example labels in the normal form.
        shift_invariant: Whether adding a number to a row of logits changes
            nothing.
        has_minimum: Whether the teacher's own outputs are the minimum, 0.
        bounded: Whether the loss of a student that is surely wrong has a
            bound, and so no slope.
        any_widths: Whether an adapter joins outputs of two widths.
    """

    cls: type
    restated: Callable[..., Any]
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    teacher: Any = dataclasses.field(default_factory=lambda: TEACHER)
    student: Any = dataclasses.field(default_factory=lambda: STUDENT)
    labels: Any = dataclasses.field(default_factory=lambda: LABELS)
    shift_invariant: bool = False
    has_minimum: bool = True
    bounded: bool = False
    any_widths: bool = False

    def make(self, **kwargs):
        """Make the loss."""
        return self.cls(**{**self.arguments, **kwargs})

    def exact(self, loss, teacher=None, student=None, labels=None):
        """Its values by the other route, 1 an example and position."""
        return self.restated(
            self.teacher if teacher is None else teacher,
            self.student if student is None else student,
            self.labels if labels is None else labels,
            *([loss] if loss.weights else []),
        )
