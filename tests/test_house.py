"""The house: documented, lazily imported, small files."""

import ast
import dataclasses
import importlib
import inspect
import re
import sys
import tomllib
import types
from pathlib import Path

import pytest
from processes import run_python

import keras_kd

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMMANDS = (
    "quickstart",
    "compress",
    "distill",
    "cache",
    "search",
    "export",
    "verify",
    "evaluate",
    "report",
    "losses",
)
# A file of more than 300 lines holds one thing that reads best whole: path and
# reason. What holds two things is split instead.
LONG_FILES: dict[str, str] = {
    "benchmarks/defaults.py": "one grid, its tasks and its table",
    "keras_kd/core/taps.py": "one class, what it decides and what it reads",
    "keras_kd/distiller/distiller.py": "one class, its saving included",
    "keras_kd/distiller/objective.py": "one class and what it pairs",
    "keras_kd/distiller/tensorflow_step.py": "all that knows TensorFlow there",
    "keras_kd/distiller/unlabelled.py": "labels, weights and counts of a batch",
    "keras_kd/evaluation/litert.py": "one class, what it takes and gives",
    "keras_kd/evaluation/tflite_file.py": "the one reader of .tflite files",
    "keras_kd/export/context.py": "one class and the checks of its parts",
    "keras_kd/export/tflite.py": "one function, mostly its documentation",
    "keras_kd/export/verify.py": "one function, its demands and their errors",
    "keras_kd/jobs/compressing.py": "one run, its parts in their order",
    "keras_kd/jobs/starting.py": "one job, its settings and its results",
    "keras_kd/losses/base.py": "one class, mostly its documentation",
    "keras_kd/losses/contrastive_representation.py": "one class, its weights",
    "keras_kd/quantization/layers/weighted.py": "one class, what it adds up",
    "keras_kd/quantization/rewriting/rewrite.py": "one replay of a graph",
    "keras_kd/search/cost/budget.py": "one class, mostly its documentation",
    "keras_kd/search/oracles/search_oracle.py": "one class",
    "keras_kd/search/tuner.py": "one class, what a user of a search calls",
    "keras_kd/students/shrinking/channels.py": "one class, every operation",
    "keras_kd/teachers/cache/cache.py": "one class, mostly its documentation",
    "tests/losses/test_toys.py": "one loss of each kind and its test",
    "tests/students/shrinking/test_shrink_initialize.py": "one argument",
}
# The extras whose packages a room may import; what else it imports, every
# installation has.
EXTRAS = {
    "data": ["datasets"],
    "evaluation": ["micro", "onnx"],
    "export": ["onnx", "quantizer"],
    "jobs": ["tuner"],
    "reporting": ["report"],
    "search": ["tuner"],
    "teachers": ["beam"],
}
# Packages that are imported under another name than they are installed by.
DISTRIBUTIONS = {
    "ethosu": "ethos-u-vela",
    "grpc": "grpcio",
    "sklearn": "scikit-learn",
    "tflite_micro": "tflite-micro",
}
PACKAGES = sorted(
    value.__name__
    for name in keras_kd.__all__
    if isinstance(value := getattr(keras_kd, name), types.ModuleType)
)


def public_names(module):
    """Return `__all__`, or what a module without it defines."""
    defined = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
    ]
    return getattr(module, "__all__", defined)


def public_symbols():
    """Yield (dotted name, object) of every public class and function."""
    for module_name in ["keras_kd", *PACKAGES]:
        module = importlib.import_module(module_name)
        for name in public_names(module):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{module_name}.{name}", value


SYMBOLS = dict(public_symbols())


@pytest.mark.parametrize("name", keras_kd.__all__)
def test_every_public_name_is_there(name):
    assert getattr(keras_kd, name) is not None


@pytest.mark.parametrize("package", PACKAGES)
def test_every_sub_package_has_the_names_it_lists(package):
    module = importlib.import_module(package)
    names = public_names(module)
    assert names
    assert all(hasattr(module, name) for name in names)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Distill'"):
        keras_kd.Distill  # noqa: B018


@pytest.mark.parametrize("name", SYMBOLS)
def test_public_symbols_are_documented(name):
    symbol = SYMBOLS[name]
    text = inspect.getdoc(symbol) or ""
    assert text.partition("\n")[0].endswith("."), "a first line that ends"
    if inspect.isclass(symbol) and issubclass(symbol, Exception):
        return
    if dataclasses.is_dataclass(symbol) or hasattr(symbol, "_fields"):
        assert "Attributes:" in text or "Args:" in text
        return
    taken = inspect.signature(symbol).parameters.values()
    if any(p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in taken):
        assert "Args:" in text
    assert "Example:" in text
    assert ">>> " in text.partition("Example:")[2]


@pytest.mark.parametrize("name", SYMBOLS)
def test_docstring_sections_stand_in_the_order_of_the_style(name):
    order = ["Formula", "Reference", "Args", "Shapes", "Returns", "Raises"]
    order += ["Example"]
    text = inspect.getdoc(SYMBOLS[name]) or ""
    found = re.findall(rf"^({'|'.join(order)}):$", text, re.MULTILINE)
    assert found == sorted(found, key=order.index)


def test_importing_the_package_imports_nothing_heavy():
    heavy = ["tensorflow", "keras", "numpy", "rich", "typer"]
    result = run_python(
        "-c",
        "import sys, keras_kd\n"
        f"print([m for m in {heavy} if m in sys.modules])",
    )
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_does_not_import_tensorflow(command):
    result = run_python(
        "-c",
        "import sys\n"
        "from keras_kd.cli import app\n"
        f"app({[*command.split(), '--help']}, standalone_mode=False)\n"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])",
    )
    assert "Usage:" in result.stdout
    assert result.stdout.endswith("[]\n")


def test_a_file_of_more_than_300_lines_has_a_reason():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in ("keras_kd", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert len(lengths) > 20
    assert {path for path, n in lengths.items() if n > 300} == set(LONG_FILES)
    assert all(LONG_FILES.values())


def test_the_version_is_said_once():
    assert PYPROJECT["project"]["version"] == keras_kd.__version__


def declared(*extras):
    """Return the names of the packages that an installation brings."""
    project = PYPROJECT["project"]
    names = set()
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    for line in lines:
        name, inner = re.match(r"([A-Za-z0-9-]+)(?:\[(.*)\])?", line).groups()
        names |= declared(*inner.split(",")) if name == "keras-kd" else {name}
    return names


def imported(path):
    """Yield the name of every module that a file imports, now or later."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module):
                yield module
            case ast.Call(
                func=ast.Name(id="optional" | "import_module")
                | ast.Attribute(attr="optional" | "import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module


def test_every_package_that_is_imported_is_declared():
    undeclared = set()
    for path in (ROOT / "keras_kd").rglob("*.py"):
        room = path.relative_to(ROOT / "keras_kd").parts[0]
        known = declared(*EXTRAS.get(room, ())) | {"keras-kd"}
        for module in imported(path):
            name = module.partition(".")[0]
            package = DISTRIBUTIONS.get(name, name.replace("_", "-"))
            if package not in known and name not in sys.stdlib_module_names:
                undeclared.add((room, package))
    assert not undeclared


def pins(name):
    """Return the packages that a file of constraints gives a version."""
    lines = (ROOT / name).read_text().splitlines()
    found = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9a-z.]+", pin) for pin in found)
    assert found == sorted(found)
    return {pin.partition("==")[0] for pin in found}


def test_every_dependency_that_is_installed_for_tests_is_pinned():
    pinned = pins("constraints.txt")
    assert declared("ci") <= pinned
    assert declared("beam") <= pinned | pins("constraints-beam.txt")


def test_every_extra_is_installed_by_ci():
    extras = set(PYPROJECT["project"]["optional-dependencies"])
    # `make test-beam` installs Beam by itself; a GPU is not on every machine,
    # and nothing imports JAX yet.
    extras -= {"beam", "ci", "gpu", "jax"}
    assert declared(*extras) == declared("ci")
