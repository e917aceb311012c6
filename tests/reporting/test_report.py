"""The page: what is on it, what is not, and that it is sound HTML."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

import keras_kd
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.sections.training import curves

NASTY = "<script>alert('&\"')</script> $x$"


class Page(HTMLParser):
    """What a page holds; raises if a tag is not closed where it must be."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids = [], [], []
        self.headings, self.tables, self.words = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag == "tr" and "tbody" in self.open:
            self.tables[-1].append([])
        if tag == "table":
            self.tables.append([])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words += data
        if "h2" in self.open:
            self.headings.append(data)
        if "tbody" in self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1].append(data.strip())

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(path):
    return Page(path.read_text())


def test_every_part_has_its_section_in_order(page):
    assert page.headings == [
        "The answer",
        "Models and files",
        "Training",
        "Search",
        "Search space",
        "Confidence",
        "New errors",
        "Every class",
        "Disagreements",
        "Exported files",
        "Rounding",
        "How it was made",
    ]


def test_what_is_not_given_has_no_section(tmp_path):
    bare = keras_kd.report(
        tmp_path / "bare.html",
        {"only": keras_kd.Evaluation("only.keras", 10, accuracy=0.5)},
    )
    page = Page(bare.read_text())
    assert page.headings == ["Models and files"]
    assert page.tables == [[["only", "50.0% (23.7–76.3)"]]]


@pytest.mark.parametrize(
    "words",
    [
        "Ship student (student.tflite). It is right on 97.0% of 500 "
        "examples, 1.0 points less than teacher (98.0%).",
        "So small a difference may be chance.",
        "It takes 9 kB instead of 90 kB and 0.25 ms instead of 1.5 ms for one "
        "example.",
        "teacher: loss falls from 2 to 0.5 in 2 epochs, and ends at 0.7 on "
        "validation data. student: loss falls from 3 to 1 in 2 epochs on "
        "training data.",
        "The search made 4 trials: 3 trained and 1 over the budget and not "
        "trained. The best is trial 1 with width 0.5 and block plain: "
        "validation accuracy 95.0%.",
        "2 of 3 trained trials are on the Pareto front: no other is better "
        "both in validation accuracy and in size. Along it, validation "
        "accuracy goes from 90.0% at 10 kB to 95.0% at 30 kB.",
        "width: tried from 0.25 to 0.5; the best trial has 0.5.",
        "block: tried plain and residual; the best trial has plain.",
        "Of 4 examples, student gets 2 wrong that teacher gets right, and 0 "
        "right that teacher gets wrong. Both are wrong on 0.",
        'Most often it takes "ape" for "bee": 2 times.',
        'student loses most on class "ape": 100.0% of its examples right '
        "before, 98.0% after.",
        "student: layer dense (FULLY_CONNECTED) adds most rounding error, "
        "10.0% of the spread of its values.",
    ],
)
def test_the_sentences_are_computed_from_the_numbers(page, words):
    assert words in " ".join(page.words.split())


def test_an_example_shows_the_three_likeliest_classes_of_both(path):
    text = path.read_text()
    assert "<h3>Example 0: ape</h3>" in text
    card = text.partition("<h3>Example 0: ape</h3>")[2].partition("</dl>")[0]
    said = re.findall(r"<dt>(.*)</dt>|<dd.*>(\w+) <b>(.*)</b></dd>", card)
    # The softmax of (5, 0, 0), and of (-4, 0, 0).
    assert [" ".join(part for part in line if part) for line in said] == [
        "teacher",
        "ape 98.7%",
        "bee 0.7%",
        "cat 0.7%",
        "student",
        "bee 49.5%",
        "cat 49.5%",
        "ape 0.9%",
    ]
    assert '<dd style="--share: 49.5%">' in card


def test_the_row_to_ship_is_marked(path):
    marked = re.findall(
        r'(\w+) <span class="ship">chosen</span></th>', path.read_text()
    )
    assert marked == ["student"]


def test_a_trial_is_named_where_the_pointer_is(path):
    text = path.read_text()
    titles = re.findall(r"<title>(trial 1: .*?)</title></use>", text)
    assert titles == [
        "trial 1: validation accuracy 95.0%, 30 kB, width 0.5 and block plain",
        "trial 1: width 0.5, validation accuracy 95.0%",
        "trial 1: block plain, validation accuracy 95.0%",
    ]


def test_every_point_has_the_title_of_its_place(path):
    chart = next(
        svg
        for svg in re.findall(r"<svg.*?</svg>", path.read_text(), re.DOTALL)
        if 'aria-label="width:' in svg
    )
    found = re.findall(r'<use [^>]*x="([\d.]+)"[^>]*><title>(.*?):', chart)
    ordered = [title for _, title in sorted((float(x), t) for x, t in found)]
    assert ordered == ["trial 0", "trial 2", "trial 1"]


def test_every_chart_has_a_label_a_sentence_and_a_table(page, path):
    drawn = page.all("svg")
    assert len(drawn) == 11
    for chart in drawn:
        assert chart["role"] == "img"
        assert len(chart["aria-label"]) > 10
    figures = re.findall(r"<figure>.*?</figure>", path.read_text(), re.DOTALL)
    assert len(figures) == len(drawn)
    for figure in figures:
        assert re.search(r"<figcaption>.{10,}</figcaption>", figure)
        assert "<details>" in figure
        assert "<td>" in figure


def test_tables_have_captions_and_scopes(page, path):
    assert len(re.findall("<caption>", path.read_text())) == len(page.tables)
    assert {cell.get("scope") for cell in page.all("th")} == {"col", "row"}


def test_ids_are_unique_and_links_lead_somewhere(page):
    assert len(page.ids) == len(set(page.ids))
    links = [
        attrs.get("href", attrs.get("xlink:href", "")) for _, attrs in page.tags
    ]
    inside = [link[1:] for link in links if link.startswith("#")]
    assert len(inside) > 12
    assert set(inside) <= set(page.ids)


def test_nothing_is_loaded_from_elsewhere(path):
    text = path.read_text()
    text = text.replace("http://www.w3.org/2000/svg", "")
    text = text.replace("http://www.w3.org/1999/xlink", "")
    assert not re.findall(r"https?:|//\w|@import|<script", text)
    assert "default-src 'none'" in text


def test_drawings_have_only_the_colours_of_the_page(path):
    drawn = "".join(re.findall(r"<svg.*?</svg>", path.read_text(), re.DOTALL))
    assert "var(--series-1)" in drawn
    assert not re.findall(r"(?:fill|stroke|color): ?#\w+", drawn)


def test_it_is_small(path):
    assert path.stat().st_size < 500_000


def test_json_beside_it_has_the_numbers(path, evaluations, histories, trials):
    found = json.loads(path.with_suffix(".json").read_text())
    for name, evaluation in evaluations.items():
        assert found["evaluations"][name] == evaluation.to_dict()
    assert found["histories"] == histories
    assert found["trials"] == trials
    assert found["predictions"]["errors"] == {
        "new": [[0, 1, 2]],
        "num_new": 2,
        "num_mended": 0,
        "num_both": 0,
    }
    assert found["made"] == {"seed": 0, "data": {"num_train": 10}}


def test_what_users_name_is_text_and_not_markup(tmp_path, evaluations, trials):
    named = {
        NASTY: evaluations["teacher"],
        f"{NASTY}2": evaluations["student"],
    }
    path = keras_kd.report(
        tmp_path / "nasty.html",
        named,
        title=NASTY,
        ship=f"{NASTY}2",
        histories={NASTY: {NASTY: [1.0, 2.0]}},
        trials=[
            {**trial, "trial_id": NASTY, "values": {NASTY: place}}
            for place, trial in enumerate(trials)
        ],
        class_names=[NASTY] * 3,
        made={NASTY: NASTY},
    )
    page = Page(path.read_text())
    assert not page.all("script")
    assert page.words.count(NASTY) > 10


def test_a_regression_is_told_by_its_error(tmp_path):
    evaluations = {
        "teacher": keras_kd.Evaluation("t", 9, mae=0.5, size_bytes=900),
        "student": keras_kd.Evaluation("s", 9, mae=0.75, size_bytes=90),
    }
    path = keras_kd.report(tmp_path / "a.html", evaluations, ship="student")
    assert (
        "Its mean absolute error is 0.75; that of teacher is 0.5. It takes 90 "
        "bytes instead of 900 bytes"
    ) in path.read_text()


def test_a_smaller_objective_can_be_the_better(tmp_path, evaluations, trials):
    path = keras_kd.report(
        tmp_path / "a.html",
        evaluations,
        trials=trials,
        objective=("val_loss", "min"),
    )
    assert "The best is trial 2 with" in path.read_text()


def test_trials_may_be_what_a_tuner_returns(tmp_path, evaluations, trials):
    from keras_kd.search.candidate import Candidate

    names = {field.name for field in dataclasses.fields(Candidate)}
    trials = [
        Candidate(**{k: v for k, v in trial.items() if k in names})
        for trial in trials
    ]
    path = keras_kd.report(tmp_path / "a.html", evaluations, trials=trials)
    assert "The search made 4 trials" in path.read_text()


def test_a_distillers_validation_loss_is_drawn_beside_the_tasks_part():
    """It is the task's loss alone, and no part of the sum called loss."""
    history = {"loss": [1.0, 0.5], "val_loss": [2.1, 1.6]}
    history["student_loss"] = [2.0, 1.5]
    section = curves(Contents("", {}, "a", histories={"a": history}))
    assert [figure.sentence for figure in section.figures] == [
        "a: loss falls from 1 to 0.5 in 2 epochs on training data.",
        "a: student_loss falls from 2 to 1.5 in 2 epochs, and ends at 1.6 on "
        "validation data.",
    ]
