"""Under another backend every entrance says so in one sentence."""

import pytest
from processes import run_python

import keras_kd

# `jobs` itself is imported by `--help`, without Keras; its names are not.
ROOMS = [n for n in keras_kd.__all__ if n not in ("__version__", "jobs")]
JOBS = keras_kd.jobs.__all__
SAYS = "`keras_kd` needs Keras on TensorFlow"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch"])
def test_every_public_name(backend):
    pytest.importorskip(backend)
    code = f"""
import keras_kd
assert keras_kd.ExportMismatchError and keras_kd.__version__
names = [(keras_kd, name) for name in {ROOMS}]
names += [(keras_kd.jobs, name) for name in {JOBS}]
for room, name in names:
    if name.endswith("Error"):
        continue
    try:
        getattr(room, name)
    except ImportError as error:
        assert str(error).startswith({SAYS!r}), (name, error)
        assert "Received: Keras on {backend!r}" in str(error)
    else:
        raise AssertionError(name)
"""
    run_python("-c", code, KERAS_BACKEND=backend)


@pytest.mark.slow
def test_the_command_line(tmp_path):
    pytest.importorskip("torch")
    arguments = ("-m", "keras_kd", "quickstart", "--output", tmp_path / "out")
    done = run_python(*arguments, code=1, KERAS_BACKEND="torch")
    assert SAYS in done.stderr
    assert "Traceback" not in done.stderr
