"""What was measured: the answer, every model and file, every class."""

from keras_kd.evaluation import Evaluation
from keras_kd.reporting import charts
from keras_kd.reporting import words
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.contents import Figure
from keras_kd.reporting.contents import Section
from keras_kd.reporting.contents import Table
from keras_kd.reporting.counting import errors
from keras_kd.reporting.counting import front
from keras_kd.reporting.measures import COLUMNS
from keras_kd.reporting.measures import COSTS
from keras_kd.reporting.measures import SMALLER_IS_BETTER
from keras_kd.reporting.measures import Measure
from keras_kd.reporting.measures import cell
from keras_kd.reporting.measures import far_behind
from keras_kd.reporting.measures import quality_of
from keras_kd.reporting.measures import value_of

# Classes that one chart has room for.
_MOST_CLASSES = 30
# Less probable differences are said not to be chance.
_CHANCE = 0.05


def answer(contents: Contents) -> Section | None:
    """Say which file to ship, what it costs and what it keeps."""
    if contents.ship is None:
        return None
    chosen = contents.evaluations[contents.ship]
    teacher = contents.evaluations[contents.teacher]
    is_teacher = contents.ship == contents.teacher
    quality = quality_of(chosen)
    facts, tiles = [], []
    if quality is not None:
        facts.append(_kept(contents, chosen, teacher, quality))
        tiles.append(
            (
                quality.heading,
                cell(chosen, quality),
                ""
                if is_teacher
                else _remark(teacher, quality, contents.teacher),
            )
        )
    asked = quality is None or quality.attribute != "agreement"
    if chosen.agreement is not None and asked and not is_teacher:
        share = words.percent(chosen.agreement)
        tiles.append((f"same choice as {contents.teacher}", share, ""))
    costs = []
    for cost in COSTS:
        value = value_of(chosen, cost)
        if value is None:
            continue
        said, before = cost.word(value), value_of(teacher, cost)
        remark = ""
        if before is not None and not is_teacher:
            remark = f"{contents.teacher}: {cost.word(before)}"
            said += f" instead of {cost.word(before)}"
        costs.append(
            f"{said} of working memory" if "arena" in cost[0] else said
        )
        tiles.append((cost.heading, cost.word(value), remark))
    if costs:
        facts.append(f"It takes {words.listed(costs)} for one example.")
    return Section(
        title="The answer",
        words=(_advice(contents, chosen, teacher), *facts),
        tiles=tuple(tiles),
    )


def _advice(contents: Contents, chosen: Evaluation, teacher: Evaluation) -> str:
    """Return which file to ship, or that none should be yet."""
    name = _named(contents, str(contents.ship))
    if far_behind(chosen, teacher):
        return (
            f"The best file is {name}, but it is far behind {contents.teacher}:"
            " train longer, or take a larger student, before you ship it."
        )
    return f"Ship {name}."


def _named(contents: Contents, row: str) -> str:
    check = contents.verifications.get(row)
    file = contents.evaluations[row].name if check is None else check.path
    file = str(file).rpartition("/")[2]
    return row if file == row else f"{row} ({file})"


def _kept(
    contents: Contents,
    chosen: Evaluation,
    teacher: Evaluation,
    quality: Measure,
) -> str:
    """Return what a model keeps of its teacher, in one sentence or two."""
    value, before = value_of(chosen, quality), value_of(teacher, quality)
    name = contents.teacher
    if quality.attribute != "accuracy":
        said = f"Its {quality.heading} is {quality.word(value)}"
        if before is None or chosen is teacher or "agreement" in quality[0]:
            return f"{said}."
        return f"{said}; that of {name} is {quality.word(before)}."
    said = (
        f"It is right on {words.percent(value)} of "
        f"{words.counted(chosen.num_examples, 'example')}"
    )
    if before is None or chosen is teacher:
        return f"{said}."
    gap = value - before
    if round(1000 * gap) == 0:
        return f"{said}, as {name} is."
    side = "less" if gap < 0 else "more"
    sentence = (
        f"{said}, {words.points(gap)} {side} than {name} "
        f"({words.percent(before)})."
    )
    chance = _chance(contents)
    if chance is None:
        return sentence
    if chance > _CHANCE:
        return f"{sentence} So small a difference may be chance."
    return f"{sentence} The difference is more than chance."


def _chance(contents: Contents) -> float | None:
    """Return how probable the difference is if both are equally good."""
    found = contents.predictions
    if found is None or found.labels is None:
        return None
    return errors(
        found.labels,
        found.choices[contents.teacher],
        found.choices[contents.student],
        found.num_classes,
    ).chance


def rows(contents: Contents) -> Section:
    """Tabulate every model and file, and draw what they cost."""
    evaluations = contents.evaluations
    columns = [
        column
        for column in COLUMNS
        if any(
            value_of(one, column) is not None for one in evaluations.values()
        )
    ]
    table = Table(
        caption="Every model and file, measured by the same code",
        columns=("model", *(column.heading for column in columns)),
        rows=[
            (name, *(cell(one, column) for column in columns))
            for name, one in evaluations.items()
        ],
        strong=None
        if contents.ship is None
        else list(evaluations).index(contents.ship),
    )
    notes = []
    if any(column.attribute == "accuracy" for column in columns):
        notes.append("In brackets: the 95% interval of the accuracy.")
    sources: dict[str, list[str]] = {}
    for name, one in evaluations.items():
        if one.latency_source is not None:
            sources.setdefault(one.latency_source, []).append(name)
    if sources:
        timed = "; ".join(
            f"{words.listed(names)} with {source}"
            for source, names in sources.items()
        )
        notes.append(f"Times are those of one example: {timed}.")
    figures = [_against(contents, cost) for cost in COSTS]
    return Section(
        title="Models and files",
        words=notes,
        tables=(table,),
        figures=tuple(figure for figure in figures if figure is not None),
    )


def _against(contents: Contents, cost: Measure) -> Figure | None:
    """Draw how good every row is against one of its costs."""
    quality = quality_of(contents.evaluations[contents.student])
    if quality is None:
        return None
    known = {
        name: (float(x), float(y))
        for name, one in contents.evaluations.items()
        if (x := value_of(one, cost)) is not None
        and (y := value_of(one, quality)) is not None
    }
    if len(known) < 2:
        return None
    sign = -1 if quality.attribute in SMALLER_IS_BETTER else 1
    best = front([(x, sign * y) for x, y in known.values()])
    names = list(known)
    listed = words.listed([names[place] for place in best])
    sentence = f"{quality.heading.capitalize()} against {cost.heading}."
    if len(best) == 1:
        sentence += f" {listed} matches or beats every other in both."
    else:
        sentence += (
            f" The line joins the best choices, {listed}: one of them matches "
            "or beats each other row in both."
        )
    worded = {
        name: (cost.word(x), quality.word(y)) for name, (x, y) in known.items()
    }
    return Figure(
        sentence=sentence,
        svg=charts.scatter(
            sentence,
            cost.heading,
            quality.heading,
            [
                charts.Point(x, y, f"{name}: {', '.join(worded[name])}", name)
                for name, (x, y) in known.items()
            ],
            front=best,
            x_word=cost.word,
            y_word=quality.word,
        ),
        table=Table(
            caption=f"{quality.heading} against {cost.heading}",
            columns=("model", cost.heading, quality.heading),
            rows=[(name, *cells) for name, cells in worded.items()],
        ),
    )


def classes(contents: Contents) -> Section | None:
    """Compare teacher and student on each class."""
    before = contents.evaluations[contents.teacher].per_class_recall
    after = contents.evaluations[contents.student].per_class_recall
    if before is None or after is None or contents.teacher == contents.student:
        return None
    pairs = [
        (contents.class_name(place), old, new)
        for place, (old, new) in enumerate(zip(before, after, strict=True))
        if old is not None and new is not None
    ]
    if not pairs:
        return None
    pairs.sort(key=lambda pair: pair[2] - pair[1])
    name, old, new = pairs[0]
    if new < old:
        sentence = (
            f'{contents.student} loses most on class "{name}": '
            f"{words.percent(old)} of its examples right before, "
            f"{words.percent(new)} after."
        )
    else:
        sentence = f"{contents.student} loses nothing on any class."
    shown = pairs[:_MOST_CLASSES]
    if len(shown) < len(pairs):
        sentence += (
            f" The chart shows the {len(shown)} of {len(pairs)} classes "
            "that lose most."
        )
    drawn = charts.pairs(
        sentence,
        "share of the class that is right",
        [pair[0] for pair in shown],
        [pair[1] for pair in shown],
        [pair[2] for pair in shown],
        (contents.teacher, contents.student),
    )
    table = Table(
        caption="Share of each class that is right",
        columns=("class", contents.teacher, contents.student, "difference"),
        rows=[
            (
                name,
                words.percent(old),
                words.percent(new),
                f"{100 * (new - old):+.1f} points",
            )
            for name, old, new in pairs
        ],
    )
    return Section(
        title="Every class", figures=(Figure(sentence, drawn, table),)
    )


def _remark(teacher: Evaluation, quality: Measure, name: str) -> str:
    value = value_of(teacher, quality)
    if value is None or quality.attribute.startswith(("agree", "teacher")):
        return ""
    return f"{name}: {quality.word(value)}"
