"""The Bayesian search on landscapes that are known in full.

`benchmarks/search_landscape.py` wrote them; what it says of them is worked
out again here, cell by cell.
"""

from statistics import mean

import pytest
from benchmark_scripts import imported
from benchmark_scripts import results
from exhaustive import rest_when_asked

RESULTS = results("search_landscape")
LANDSCAPES = RESULTS["landscapes"]
GATED = "bayesian, three trainings a trial"


@pytest.fixture(scope="module")
def benchmark():
    with imported("search_landscape") as module:
        yield module


def cells(landscape):
    """Yield the values, bytes and mean accuracy of every cell."""
    grid = landscape["grid"]
    axes = grid["axes"]
    for i, width in enumerate(axes["width"]):
        for j, alpha in enumerate(axes["alpha"]):
            for k, temperature in enumerate(axes["temperature"]):
                values = (width, alpha, temperature)
                accuracy = mean(grid["accuracy"][i][j][k])
                yield values, grid["size_bytes"][i], accuracy


def best_that_fits(landscape):
    most = landscape["budget_size_bytes"]
    return max(a for _, size, a in cells(landscape) if size <= most)


def at(landscape, values):
    """Return bytes and accuracy of the cell of a search's values."""
    wanted = [values["width"], values["alpha"], values["temperature"]]
    for cell, size, accuracy in cells(landscape):
        if cell == pytest.approx(wanted, abs=1e-3):
            return size, accuracy
    raise AssertionError(f"{wanted} is not on the grid")


@pytest.mark.parametrize("name", LANDSCAPES)
def test_the_landscape_is_a_full_one_and_not_flat(name):
    landscape = LANDSCAPES[name]
    found = list(cells(landscape))
    assert len(found) == landscape["cells"] == 8 * 6 * 6
    best = best_that_fits(landscape)
    assert landscape["best_feasible"] == pytest.approx(best, abs=0.01)
    most = landscape["budget_size_bytes"]
    near = sum(a >= best - 0.5 for _, size, a in found if size <= most)
    assert near == landscape["cells_within_gate"]
    # By chance a search of 57 trials would not do.
    assert near < len(found) / 20
    assert any(size > most for _, size, _ in found)


@pytest.mark.parametrize("name", LANDSCAPES)
def test_eight_of_ten_searches_come_within_half_a_point(name):
    landscape = LANDSCAPES[name]
    best = best_that_fits(landscape)
    rows = landscape["searches"][GATED]["seeds"]
    regrets = []
    for row in rows:
        size, accuracy = at(landscape, row["values"])
        assert size == row["size_bytes"] <= landscape["budget_size_bytes"]
        assert row["trials"] <= landscape["cells"] / 5
        regrets.append(best - accuracy)
    assert [row["regret"] for row in rows] == pytest.approx(regrets, abs=2e-3)
    assert len(regrets) == 10
    assert sum(regret <= 0.5 for regret in regrets) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("seed", rest_when_asked([0, 1], [0]))
def test_a_search_made_again_comes_within_half_a_point(benchmark, seed):
    landscape = next(iter(LANDSCAPES.values()))
    made = benchmark.Landscape(landscape["grid"])
    row = benchmark.search(made, seed, *benchmark.SEARCHES[GATED])
    size, accuracy = at(landscape, row["values"])
    assert size <= landscape["budget_size_bytes"]
    assert best_that_fits(landscape) - accuracy <= 0.5
    assert row["trials"] == 57


def test_values_beside_the_grid_are_refused(benchmark):
    made = benchmark.Landscape(next(iter(LANDSCAPES.values()))["grid"])
    values = {"width": 0.5, "alpha": 0.2, "temperature": 4.0}
    with pytest.raises(KeyError, match="alpha=0.2 is not on the grid"):
        made.cell(values)
    assert made.cell(values | {"alpha": 0.28}) == (3, 1, 2)
