"""How training went, one chart for each part of the loss."""

from collections.abc import Mapping
from collections.abc import Sequence

from keras_kd.reporting import charts
from keras_kd.reporting import words
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.contents import Figure
from keras_kd.reporting.contents import Section
from keras_kd.reporting.contents import Table

_VALIDATION = "val_"
Runs = Mapping[str, Sequence[float]]


def curves(contents: Contents) -> Section | None:
    """Draw every logged value over the epochs."""
    histories = {
        run: _as_measured(history)
        for run, history in contents.histories.items()
    }
    logged = dict.fromkeys(
        name.removeprefix(_VALIDATION)
        for history in histories.values()
        for name in history
    )
    # The whole first, its parts and the metrics as they were logged.
    figures = [
        _figure(histories, name)
        for name in sorted(logged, key=lambda name: name != "loss")
    ]
    if not figures:
        return None
    return Section(title="Training", figures=figures)


def _as_measured(history: Runs) -> Runs:
    """Name a Distiller's validation loss after what it is: the task's part."""
    if "student_loss" not in history:
        return history
    return {
        f"{_VALIDATION}student_loss" if name == "val_loss" else name: values
        for name, values in history.items()
    }


def _figure(histories: Mapping[str, Runs], name: str) -> Figure:
    trained, validated = (
        {
            run: history[prefix + name]
            for run, history in histories.items()
            if prefix + name in history
        }
        for prefix in ("", _VALIDATION)
    )
    sentence = " ".join(
        _sentence(run, name, trained.get(run), validated.get(run))
        for run in {**trained, **validated}
    )
    both = {
        **trained,
        **{f"{run}, validation": v for run, v in validated.items()},
    }
    longest = max(len(values) for values in both.values())
    table = Table(
        caption=f"{name} after each epoch",
        columns=("epoch", *both),
        rows=[
            (
                str(epoch + 1),
                *(
                    words.number(float(values[epoch]))
                    if epoch < len(values)
                    else "–"
                    for values in both.values()
                ),
            )
            for epoch in range(longest)
        ],
    )
    drawn = charts.lines(
        sentence, "epoch", name, trained, validated, list(histories)
    )
    return Figure(sentence, drawn, table)


def _sentence(
    run: str,
    name: str,
    trained: Sequence[float] | None,
    validated: Sequence[float] | None,
) -> str:
    values = trained if trained is not None else validated
    if not values:
        return ""
    first, last = float(values[0]), float(values[-1])
    verb = "falls" if last < first else "rises" if last > first else "stays"
    where = ""
    if trained is None or not validated:
        where = f" on {'validation' if trained is None else 'training'} data"
    if verb == "stays" or len(values) == 1:
        said = f"{run}: {name} is {words.number(last)}{where}"
    else:
        said = (
            f"{run}: {name} {verb} from {words.number(first)} to "
            f"{words.number(last)} in {words.counted(len(values), 'epoch')}"
            f"{where}"
        )
    if trained is not None and validated:
        said += f", and ends at {words.number(float(validated[-1]))} on "
        said += "validation data"
    return f"{said}."
