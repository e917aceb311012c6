"""README and the pages of docs/: short, fresh, and true to the benchmarks."""

import inspect
import json
import re
import tomllib
from pathlib import Path

import pytest
from benchmark_scripts import imported

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += [ROOT / "benchmarks" / "README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
FIGURES = tomllib.loads((ROOT / "docs" / "figures.toml").read_text())["figure"]


def words(text):
    """Return a text with each run of white space as one space."""
    return " ".join(text.split())


def test_readme_is_read_to_its_end():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.split()) <= 700
    assert "make quickstart" in readme
    assert "make test" in readme


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f["text"][:40])
def test_a_figure_is_what_its_benchmark_found(figure):
    values = []
    for name, *keys in figure["values"]:
        value = json.loads(
            (ROOT / "benchmarks" / "results" / f"{name}.json").read_text()
        )
        for key in keys:
            value = value[key]
        values.append(value)
    sentence = figure["text"].format(*values).replace("%", " %")
    sentence = words(sentence)
    assert sentence in words((ROOT / figure["page"]).read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_losses_are_all_named():
    from keras_kd.cli.losses import markdown
    from keras_kd.cli.losses import methods

    table = (ROOT / "docs" / "losses.md").read_text()
    between = re.search(
        r"<!-- losses -->\n(.*?)\n<!-- /losses -->", table, re.DOTALL
    )
    assert between[1].strip() == markdown(methods()), (
        "replace the table by the output of `keras-kd losses --markdown`"
    )
    listed = (ROOT / "README.md").read_text().partition("## Losses")[2]
    listed = listed.partition("\n## ")[0]
    named = re.findall(r"`([A-Z]\w+)`", listed)
    assert named == [row.loss for row in methods()]


@pytest.mark.parametrize(
    "name",
    [
        "defaults",
        "methods",
        "costs",
        "mlperf_tiny",
        "peer ratios",
        "peers",
        "growth",
        "slopes",
        "growth of a cache",
        "imagenet",
    ],
)
def test_a_table_is_what_its_benchmark_found(name):
    pytest.importorskip("torch", reason="the tables' benchmarks run PyTorch")
    with imported("pages") as pages:
        page, _ = pages.TABLES[name]
        assert (pages.DOCS / page).read_text() == pages.filled(name), (
            "run `python benchmarks/pages.py`"
        )


def test_the_defaults_never_lose_to_labels_alone():
    from keras_kd import Distiller
    from keras_kd.distiller.objective import TEMPERATURE

    alpha = inspect.signature(Distiller).parameters["alpha"].default
    with imported("defaults") as defaults:
        cells = json.loads(
            (ROOT / "benchmarks" / "results" / "defaults.json").read_text()
        )["cells"]
        gained = defaults.gains(cells, defaults.TASKS)
        ours = gained[f"alpha {alpha}, T {TEMPERATURE:g}"]
        for task in defaults.TASKS:
            alone = defaults.values(cells, task, defaults.ALONE)
            assert ours[task] >= -defaults.spread(alone.values()), task
