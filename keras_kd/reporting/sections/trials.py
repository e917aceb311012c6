"""What a search tried: the trials on the front, and the space."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from numbers import Real
from typing import Any

from keras_kd.reporting import charts
from keras_kd.reporting import words
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.contents import Figure
from keras_kd.reporting.contents import Section
from keras_kd.reporting.contents import Table
from keras_kd.reporting.counting import front as front_of

Trial = Mapping[str, Any]
_COSTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "size_bytes": ("size", words.size),
    "latency_ms": ("time for one example", words.milliseconds),
    "arena_bytes": ("working memory", words.size),
    "num_params": ("parameters", words.number),
    "flops": ("operations", words.number),
    "peak_memory_bytes": ("memory of activations", words.size),
}
# Those that are drawn; the others are in the table.
_DRAWN = ("size_bytes", "latency_ms", "arena_bytes")
_STATUS = {
    "feasible": "trained",
    "infeasible": "over the budget and not trained",
    "failed": "failed",
    "running": "not finished",
}


def front(contents: Contents) -> Section | None:
    """Draw the objective of the trials against what they cost."""
    if not contents.trials:
        return None
    statuses = [trial["status"] for trial in contents.trials]
    counts = [
        f"{statuses.count(status)} {text}"
        for status, text in _STATUS.items()
        if status in statuses
    ]
    said = [
        f"The search made {words.counted(len(statuses), 'trial')}: "
        f"{words.listed(counts)}."
    ]
    trained = _trained(contents)
    if trained:
        best = trained[0]
        said.append(
            f"The best is trial {best['trial_id']} with {_said(best)}: "
            f"{_objective(contents)} {_score(contents, best)}."
        )
    figures = [_against(contents, trained, cost) for cost in _DRAWN]
    return Section(
        title="Search",
        words=said,
        figures=[figure for figure in figures if figure is not None],
        folded=(_table(contents),),
    )


def space(contents: Contents) -> Section | None:
    """Draw the objective against each hyperparameter."""
    trained = _trained(contents)
    names = dict.fromkeys(name for trial in trained for name in trial["values"])
    figures = [_over(contents, trained, name) for name in names]
    kept = [figure for figure in figures if figure is not None]
    return Section(title="Search space", figures=kept) if kept else None


def _trained(contents: Contents) -> list[Trial]:
    """Return the trials that have an objective, the best first."""
    sign = -1 if contents.objective[1] == "max" else 1
    done = [t for t in contents.trials if t.get("objective") is not None]
    return sorted(done, key=lambda trial: sign * trial["objective"])


def _against(
    contents: Contents, trained: Sequence[Trial], cost: str
) -> Figure | None:
    known = [trial for trial in trained if trial.get(cost) is not None]
    if len(known) < 2:
        return None
    name, word = _COSTS[cost]
    objective = _objective(contents)
    sign = 1 if contents.objective[1] == "max" else -1
    best = front_of([(t[cost], sign * t["objective"]) for t in known])
    first, last = known[best[0]], known[best[-1]]
    if len(best) == 1:
        sentence = (
            f"Trial {first['trial_id']} beats every other in {objective} and "
            f"in {name}."
        )
    else:
        sentence = (
            f"{len(best)} of {len(known)} trained trials are on the Pareto "
            f"front: no other is better both in {objective} and in {name}. "
            f"Along it, {objective} goes from {_score(contents, first)} at "
            f"{word(first[cost])} to {_score(contents, last)} at "
            f"{word(last[cost])}."
        )
    titles = [
        f"trial {trial['trial_id']}: {objective} {_score(contents, trial)}, "
        f"{word(trial[cost])}, {_said(trial)}"
        for trial in known
    ]
    drawn = charts.scatter(
        sentence,
        name,
        objective,
        [
            charts.Point(t[cost], t["objective"], title)
            for t, title in zip(known, titles, strict=True)
        ],
        front=best,
        x_word=word,
        y_word=_word(contents),
    )
    table = Table(
        caption=f"Trials on the front of {objective} and {name}",
        columns=("trial", name, objective),
        rows=[
            (
                known[place]["trial_id"],
                word(known[place][cost]),
                _score(contents, known[place]),
            )
            for place in best
        ],
    )
    return Figure(sentence, drawn, table)


def _over(
    contents: Contents, trained: Sequence[Trial], name: str
) -> Figure | None:
    """Draw the objective over one hyperparameter, if it was varied."""
    known = [trial for trial in trained if name in trial["values"]]
    values = [trial["values"][name] for trial in known]
    if len({str(value) for value in values}) < 2:
        return None
    objective = _objective(contents)
    numeric = all(
        isinstance(value, Real) and not isinstance(value, bool)
        for value in values
    )
    kinds = sorted({str(value) for value in values})
    places = values if numeric else [kinds.index(str(v)) for v in values]
    best = values[: max(1, len(values) // 4)]
    those = (
        "the best trial has"
        if len(best) == 1
        else f"the best {len(best)} trials have"
    )
    if numeric:
        sentence = (
            f"{name}: tried from {_range(values)}; {those} {_range(best)}."
        )
    else:
        picked = words.listed(sorted({str(value) for value in best}))
        sentence = f"{name}: tried {words.listed(kinds)}; {those} {picked}."
    axis = name
    if not numeric:
        axis += ": " + ", ".join(
            f"{i} = {kind}" for i, kind in enumerate(kinds)
        )
    marks = [
        charts.Point(
            float(place),
            trial["objective"],
            f"trial {trial['trial_id']}: {name} "
            f"{_shown(trial['values'][name])}, {objective} "
            f"{_score(contents, trial)}",
        )
        for place, trial in zip(places, known, strict=True)
    ]
    drawn = charts.scatter(
        sentence, axis, objective, marks, y_word=_word(contents)
    )
    table = Table(
        caption=f"{objective} by {name}, the best first",
        columns=("trial", name, objective),
        rows=[
            (
                trial["trial_id"],
                _shown(trial["values"][name]),
                _score(contents, trial),
            )
            for trial in known
        ],
    )
    return Figure(sentence, drawn, table)


def _range(values: Sequence[float]) -> str:
    low, high = words.number(min(values)), words.number(max(values))
    return low if low == high else f"{low} to {high}"


def _table(contents: Contents) -> Table:
    trials = contents.trials
    costs = [
        name
        for name in _COSTS
        if any(trial.get(name) is not None for trial in trials)
    ]
    names = dict.fromkeys(name for trial in trials for name in trial["values"])
    return Table(
        caption=f"All {words.counted(len(trials), 'trial')}",
        columns=(
            "trial",
            "outcome",
            _objective(contents),
            *(_COSTS[cost][0] for cost in costs),
            *names,
        ),
        rows=[
            (
                trial["trial_id"],
                trial.get("reason")
                or _STATUS.get(trial["status"], trial["status"]),
                "–"
                if trial.get("objective") is None
                else _score(contents, trial),
                *(
                    "–"
                    if trial.get(cost) is None
                    else _COSTS[cost][1](trial[cost])
                    for cost in costs
                ),
                *(_shown(trial["values"].get(name, "–")) for name in names),
            )
            for trial in trials
        ],
    )


def _said(trial: Trial) -> str:
    """Return the hyperparameters of a trial in words."""
    return words.listed(
        [f"{name} {_shown(value)}" for name, value in trial["values"].items()]
    )


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _objective(contents: Contents) -> str:
    """Return what the search optimizes, in words."""
    name = contents.objective[0]
    if name.startswith("val_"):
        name = f"validation {name.removeprefix('val_')}"
    return name.replace("_", " ")


def _score(contents: Contents, trial: Trial) -> str:
    return _word(contents)(float(trial["objective"]))


def _word(contents: Contents) -> Callable[[float], str]:
    """Return what formats the objective; shares are percentages."""
    if contents.objective[0].endswith(("accuracy", "agreement")):
        return words.percent
    return words.number
