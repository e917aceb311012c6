"""The ledger: every architecture once, whoever asks, whatever happens."""

import json
import threading

import keras
import pytest
from processes import run_program

import keras_kd
from keras_kd import Budget
from keras_kd.search import Measurement
from keras_kd.search.cost import quantities
from keras_kd.search.cost.ledger import Ledger
from keras_kd.search.cost.measurement import Wanted


def student(width=1.0, **inputs):
    shape = inputs.get("shape", (8, 8, 1))
    return keras_kd.students.convnet(shape, 3, width, filters=(8,))


@pytest.fixture
def counted(monkeypatch):
    """Count what is measured; nothing is converted."""
    calls = []

    def counting(name, result):
        def call(*arguments):
            calls.append(name)
            return result() if callable(result) else result

        monkeypatch.setattr(quantities, name, call)

    class File:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def stat(self):
            return type("Stat", (), {"st_size": 5000})

    counting("flops", 700)
    counting("converted", File)
    counting("memory", 900)
    counting("latency", 1.5)
    return calls


def test_the_second_time_nothing_is_measured(tmp_path, counted):
    budget = Budget(size_bytes=9000, latency_ms=2.0, flops=1000)
    ledger = Ledger(tmp_path / "measurements.json")
    first = ledger.get(student(), budget.wanted())
    assert counted == ["flops", "converted", "memory", "latency"]
    assert ledger.get(student(), budget.wanted()) == first
    ledger = Ledger(tmp_path / "measurements.json")
    assert ledger.get(student(), budget.wanted()) == first
    assert len(ledger) == 1
    assert len(counted) == 4
    assert (first.size_bytes, first.latency_ms) == (5000, 1.5)


@pytest.mark.parametrize(
    ("limits", "measured"),
    [
        ({"num_params": 10, "flops": 10**9}, []),
        ({"flops": 10, "size_bytes": 10**6}, ["flops"]),
        ({"size_bytes": 100, "latency_ms": 9.0}, []),
        ({"size_bytes": 4000, "latency_ms": 9.0}, ["converted", "memory"]),
        ({"peak_memory_bytes": 9, "latency_ms": 9.0}, ["converted", "memory"]),
    ],
    ids=["params", "flops", "bytes of kernels", "bytes", "memory"],
)
def test_it_stops_at_the_first_limit_that_is_passed(limits, measured, counted):
    budget = Budget(**limits)
    ledger = Ledger()
    found = ledger.get(student(), budget.wanted())
    assert counted == measured
    assert budget.violation(found) > 0
    assert found.latency_ms is None
    assert ledger.get(student(), budget.wanted()) == found
    assert counted == measured


def test_a_bound_decides_and_is_no_measurement(counted):
    tight, loose = Budget(size_bytes=100), Budget(size_bytes=6000)
    ledger = Ledger()
    bound = ledger.get(student(), tight.wanted())
    assert bound.at_least == ("size_bytes",)
    assert 100 < bound.size_bytes < 5000
    assert counted == []
    assert ledger.get(student(), loose.wanted()).size_bytes == 5000
    # From now on the tight budget knows it better, too.
    assert ledger.get(student(), tight.wanted()).at_least == ()
    assert counted == ["converted", "memory"]


def test_every_limit_where_all_are_asked_for(counted):
    budget = Budget(size_bytes=100, flops=10, latency_ms=0.1)
    ledger = Ledger()
    ledger.get(student(), budget.wanted())
    found = ledger.get(student(), budget.wanted(every=True))
    assert (found.size_bytes, found.flops, found.latency_ms) == (5000, 700, 1.5)
    assert found.at_least == ()


def test_what_is_wanted_without_a_limit(counted):
    budget = Budget(num_params=10**6)
    more = {"size_bytes": None, "latency_ms": None}
    ledger = Ledger()
    assert ledger.get(student(), budget.wanted()).size_bytes is None
    fits = Wanted({**budget.limits, **more})
    assert ledger.get(student(), fits).latency_ms == 1.5
    over = ledger.get(student(2.0), Wanted({"num_params": 1, **more}))
    assert over.size_bytes is None
    assert ledger.get(student(), Wanted(more)).size_bytes == 5000
    assert counted == ["converted", "memory", "latency"]


def test_what_stands_in_the_ledger_is_not_measured_again(counted, monkeypatch):
    ledger = Ledger()
    ledger.get(student(), Budget(size_bytes=6000).wanted())
    monkeypatch.setattr(quantities, "memory", lambda path: 1)
    found = ledger.get(student(), Budget(latency_ms=9.0).wanted())
    assert found.peak_memory_bytes == 900
    assert found.latency_ms == 1.5


def test_quantizations_and_threads_have_entries_of_their_own(counted):
    ledger = Ledger()
    for kind in (None, "int8", "float32"):
        ledger.get(student(), Budget(latency_ms=9, quantization=kind).wanted())
    assert len(ledger) == 2
    ledger.get(student(), Budget(latency_ms=9, num_threads=2).wanted())
    assert len(ledger) == 3


@pytest.mark.parametrize(
    "content",
    ['{"version": 1, "measure', "[]", '{"version": 9}', '{"version": 1}'],
    ids=["cut short", "another form", "newer", "no entries"],
)
def test_a_damaged_file_is_kept_aside(tmp_path, counted, content):
    path = tmp_path / "measurements.json"
    path.write_text(content)
    budget = Budget(size_bytes=9000)
    ledger = Ledger(path)
    with pytest.warns(UserWarning, match="cannot be read.*corrupt"):
        found = ledger.get(student(), budget.wanted())
    assert (tmp_path / "measurements.json.corrupt").read_text() == content
    stored = json.loads(path.read_text())["measurements"]
    assert [Measurement.from_json(v) for v in stored.values()] == [found]


def test_an_entry_that_holds_no_number_is_damage(tmp_path, counted):
    path = tmp_path / "measurements.json"
    ledger = Ledger(path)
    ledger.get(student(), Budget(size_bytes=9000).wanted())
    path.write_text(path.read_text().replace("5000", '"5000"'))
    ledger = Ledger(path)
    with pytest.warns(UserWarning, match="size_bytes is '5000'"):
        ledger.get(student(), Budget(size_bytes=9000).wanted())


def test_ledgers_that_share_a_file_measure_once(tmp_path, counted):
    path = tmp_path / "measurements.json"
    ledgers = [Ledger(path) for _ in range(4)]
    models = [student(width) for width in (0.5, 1.0) for _ in range(2)]
    budget = Budget(size_bytes=9000)

    def ask(ledger):
        for model in models:
            ledger.get(model, budget.wanted())

    threads = [threading.Thread(target=ask, args=(one,)) for one in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.count("converted") == 2
    assert all(len(ledger) == 2 for ledger in ledgers)


@pytest.mark.slow
def test_another_process_finds_the_entries(tmp_path, counted):
    path = tmp_path / "measurements.json"
    ledger = Ledger(path)
    ledger.get(student(), Budget(size_bytes=9000).wanted())
    code = (
        "import keras_kd\n"
        "from keras_kd.search.cost import quantities\n"
        "from keras_kd.search.cost.ledger import Ledger\n"
        "quantities.converted = None\n"
        "student = keras_kd.students.convnet((8, 8, 1), 3, 1.0, filters=(8,))\n"
        f"ledger = Ledger({str(path)!r})\n"
        "budget = keras_kd.Budget(size_bytes=9000)\n"
        "print(ledger.get(student, budget.wanted()).size_bytes)\n"
    )
    assert run_program(code).stdout == "5000\n"


@pytest.mark.parametrize(
    ("limits", "open_names"),
    [
        ({"latency_ms": 1}, "latency_ms"),
        ({"flops": 9, "peak_memory_bytes": 9}, "flops, peak_memory_bytes"),
    ],
    ids=["latency", "two"],
)
def test_open_sizes_leave_a_limit_undecided(limits, open_names, counted):
    model = student(shape=(None, None, 1))
    ledger = Ledger()
    with pytest.raises(
        ValueError, match=f"fixed input sizes, for {open_names}"
    ):
        ledger.get(model, Budget(**limits).wanted())
    found = ledger.get(model, Budget(size_bytes=9000).wanted())
    assert found.to_dict().keys() == {"num_params", "size_bytes"}


def test_bad_input(tmp_path):
    ledger = Ledger()
    with pytest.raises(ValueError, match="Did you mean 'size_bytes'"):
        ledger.get(student(), Wanted({"size_byte": None}))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Cannot write to the folder"):
        Ledger(tmp_path / "file" / "measurements.json")


def test_operations_that_cannot_be_counted():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.ReLU()(inputs))
    with pytest.raises(ValueError, match=r"can count.*Limit `num_params`"):
        Budget(flops=10).check(model)


@pytest.mark.slow
@pytest.mark.export
def test_a_budget_without_a_ledger_converts_by_itself():
    budget = Budget(size_bytes=2000, quantization="int8")
    with pytest.raises(
        keras_kd.OverBudgetError,
        match=r"`convnet` does not fit the budget: size_bytes [\d,]+ is above",
    ) as info:
        budget.check(student())
    assert info.value.measurement.size_bytes > 2000
    assert info.value.violation == pytest.approx(
        info.value.measurement.size_bytes / 2000 - 1, abs=1e-12
    )
