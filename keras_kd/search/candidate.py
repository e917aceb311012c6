"""One trial of a search, as results report it."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from keras_kd.search.cost.measurement import QUANTITIES
from keras_kd.search.oracles.scoring import SPREAD
from keras_kd.search.oracles.scoring import VIOLATION


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A trial: its hyperparameters, its objective and its costs.

    Attributes:
        trial_id: KerasTuner's ID of the trial.
        values: The hyperparameters.
        status: `"feasible"`, `"infeasible"` (over the budget, not trained),
            `"failed"` or `"running"`.
        reason: Why it is infeasible or failed.
        objective: Mean of the objective over the executions, each at its best
            epoch; `None` if the student was not trained.
        spread: Standard deviation of the executions' objectives, with n - 1;
            `None` with fewer than two.
        size_bytes: Bytes of the student's `.tflite` file.
        latency_ms: Milliseconds for one example.
        num_params: Number of the student's weights.
        flops: Floating-point operations for one example.
        peak_memory_bytes: Most bytes of activations alive at once.
        arena_bytes: Bytes of the smallest arena of TFLite Micro.
        sram_bytes: Bytes of SRAM of the file compiled for an NPU.
        metrics: All logged metrics, at the best epoch.
    """

    trial_id: str
    values: Mapping[str, Any]
    status: str
    reason: str = ""
    objective: float | None = None
    spread: float | None = None
    size_bytes: int | None = None
    latency_ms: float | None = None
    num_params: int | None = None
    flops: int | None = None
    peak_memory_bytes: int | None = None
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    arena_bytes: int | None = None
    sram_bytes: int | None = None

    @classmethod
    def of(cls, trial: Any, objective: str, budget: Any = None) -> "Candidate":
        """Read a KerasTuner trial.

        Args:
            trial: The trial.
            objective: Name of the objective.
            budget: The search's `Budget`. It words why a trial is infeasible
                when the trial has no message.
        """
        logged = {
            name: trial.metrics.get_best_value(name)
            for name in trial.metrics.metrics
        }
        metrics = {k: float(v) for k, v in logged.items() if v is not None}
        # Counts come back from the metrics as floats.
        costs: dict[str, Any] = {
            name: value if name == "latency_ms" else int(value)
            for name in QUANTITIES
            if math.isfinite(value := metrics.get(name, math.nan))
        }
        common = {"trial_id": trial.trial_id, **costs}
        values = dict(trial.hyperparameters.values)
        message = trial.message or ""
        if metrics.get(VIOLATION, 0.0) > 0.0:
            reason = message or (budget.reason(costs) if budget else "")
            return cls(
                values=values, status="infeasible", reason=reason, **common
            )
        if trial.status == "COMPLETED":
            return cls(
                values=values,
                status="feasible",
                objective=float(trial.score),
                spread=metrics.get(objective + SPREAD),
                metrics=metrics,
                **common,
            )
        if trial.status in ("FAILED", "INVALID"):
            last = message.strip().rpartition("\n")[2]
            return cls(values=values, status="failed", reason=last, **common)
        return cls(values=values, status="running", **common)
