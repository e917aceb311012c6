"""Measures several models in one pass over the data."""

import contextlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras

from keras_kd.core.batches import batches
from keras_kd.core.checks import check_integer
from keras_kd.core.input_choice import InputChoice
from keras_kd.core.input_choice import check_input_choice
from keras_kd.core.input_choice import choose_input
from keras_kd.core.input_choice import remembered_part
from keras_kd.core.output_kinds import by_name
from keras_kd.core.output_kinds import place_of
from keras_kd.evaluation.classification_metrics import Tally
from keras_kd.evaluation.label_metrics import LabelsTally
from keras_kd.evaluation.results import Evaluation
from keras_kd.evaluation.runners import Runner
from keras_kd.evaluation.runners import open_runner
from keras_kd.evaluation.vector_metrics import EmbeddingTally
from keras_kd.evaluation.vector_metrics import NumbersTally

AnyTally = Tally | LabelsTally | NumbersTally | EmbeddingTally


class Subject(NamedTuple):
    """A model that is measured; see the arguments of `evaluate`.

    Attributes:
        model: The model, or its path.
        output: Kind of its output, if it does not tell.
        runtime: What runs a file.
        input: The part of x that it takes.
    """

    model: Any
    output: str | None = None
    runtime: str | None = None
    input: InputChoice = None


def evaluate_all(  # noqa: PLR0913 (three inputs; the rest are switches)
    subjects: Sequence[Subject],
    dataset: Any,
    teacher: Any = None,
    *,
    num_threads: int = 1,
    latency: bool = True,
    latency_runs: int = 100,
    teacher_output: str | None = None,
    output: str | int | None = None,
    teacher_input: InputChoice = None,
    watch: Callable[[int], None] = lambda batches: None,
) -> list[Evaluation]:
    """Measure several models in one pass over the data.

    The teacher runs once per batch for all of them.

    Args:
        subjects: The models.
        dataset: See `evaluate`, as for all arguments that are not here.
        teacher: The teacher; it may be one of the models.
        num_threads: See `evaluate`.
        latency: See `evaluate`.
        latency_runs: See `evaluate`.
        teacher_output: See `evaluate`.
        output: See `evaluate`.
        teacher_input: See `evaluate`.
        watch: Called after each batch with the number of batches so far.

    Returns:
        What was found of each, in the order of the models.

    Raises:
        ImportError: See `evaluate`.
        TypeError: See `evaluate`.
        ValueError: See `evaluate`.
    """
    check_integer("evaluate", "num_threads", num_threads, low=1)
    check_integer("evaluate", "latency_runs", latency_runs, low=1)
    check_input_choice(
        teacher_input, subject="evaluate", argument="teacher_input"
    )
    steps = batches(dataset)
    with contextlib.ExitStack() as opened:

        def opening(model: Any, **how: Any) -> Runner:
            runner = open_runner(model, which=output, **how)
            opened.callback(runner.close)
            return runner

        taught_by = None
        if teacher is not None:
            taught_by = Subject(teacher, teacher_output, input=teacher_input)
        chosen = [_with_its_input(one) for one in subjects]
        runners = [
            None
            if one == taught_by
            else opening(one.model, output=one.output, runtime=one.runtime)
            for one in chosen
        ]
        guide = None
        if teacher is not None:
            guide = opening(teacher, role="teacher", output=teacher_output)
        measured = [
            _Measured(one, runner or guide, is_teacher=runner is None)
            for one, runner in zip(chosen, runners, strict=True)
        ]
        for one in measured:
            _settle(one.runner, guide)
        for number, (x, y, weights) in enumerate(steps, start=1):
            guided = None
            if guide is not None:
                guided = guide.logits(
                    _chosen(x, teacher_input, "teacher_input")
                )
            labels, counted = _part(y, output), _part(weights, output)
            for one in measured:
                one.update(x, labels, counted, guided)
            watch(number)
        runs = latency_runs if latency else 0
        return [one.result(runs, num_threads) for one in measured]


class _Measured:
    """A model, what is counted of it, and an example of its input."""

    def __init__(
        self, subject: Subject, runner: Any, *, is_teacher: bool
    ) -> None:
        self.runner: Runner = runner
        self._input = subject.input
        self._is_teacher = is_teacher
        self._tally: AnyTally | None = None
        self._example: Any = None

    def update(self, x: Any, y: Any, weights: Any, guided: Any) -> None:
        """Run a batch and count its outputs.

        Args:
            x: The inputs.
            y: The labels, or `None`.
            weights: The sample weights, or `None`.
            guided: The teacher's logits, or `None`.
        """
        x = _chosen(x, self._input, "student_input")
        if self._tally is None:
            self._example = keras.tree.map_structure(lambda leaf: leaf[:1], x)
        outputs = guided if self._is_teacher else self.runner.logits(x)
        # What the output is, some models tell only once they have run.
        self._tally = self._tally or _tally_for(self.runner)
        self._tally.update(outputs, y, weights, guided)

    def result(self, latency_runs: int, num_threads: int) -> Evaluation:
        """Return what was found.

        Args:
            latency_runs: Timed runs; 0 for no latency.
            num_threads: Threads of the LiteRT runtime for latency.
        """
        runner, tally = self.runner, self._tally or Tally()
        taken = None
        if latency_runs:
            taken = runner.latency(self._example, latency_runs, num_threads)
        return Evaluation(
            name=runner.name,
            num_examples=tally.num_examples,
            **tally.result(),
            num_params=runner.num_params,
            flops=runner.flops(self._example),
            size_bytes=runner.size_bytes,
            latency_ms_p50=taken.p50_ms if taken else None,
            latency_ms_p95=taken.p95_ms if taken else None,
            latency_source=taken.source if taken else None,
            arena_bytes=runner.arena_bytes,
        )


def _with_its_input(subject: Subject) -> Subject:
    """Return a subject with the input that its model tells.

    A Distiller knows what its models take, and its student remembers.
    """
    how = (
        subject.input
        or getattr(subject.model, "student_inputs", None)
        or remembered_part(subject.model)
    )
    check_input_choice(how, subject="evaluate", argument="student_input")
    return subject._replace(input=how)


def _chosen(x: Any, how: InputChoice, argument: str) -> Any:
    return choose_input(x, how, subject="evaluate", argument=argument)


def _part(labels: Any, output: Any) -> Any:
    """Return the labels or the weights of the chosen output."""
    parts = by_name(labels)
    names = list(parts)
    place = place_of(names, output, subject="evaluate", role="data")
    return parts[names[place]]


def _settle(model: Runner, teacher: Runner | None) -> None:
    """Decide what the outputs are; each model may tell the other's."""
    if teacher is not None:
        for one, other in ((teacher, model), (model, teacher)) * 2:
            one.settle(other.kind)
        teacher.check()
    model.check()


def _tally_for(model: Runner) -> AnyTally:
    """Return what counts the outputs of a model."""
    kind = model.kind
    if kind == "numbers":
        return NumbersTally()
    if kind == "embedding":
        return EmbeddingTally()
    labels = str(kind).startswith("binary") and (model.units or 1) > 1
    return LabelsTally() if labels else Tally()
