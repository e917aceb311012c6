"""What is saved in one process opens in another."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from processes import run_python

import keras_kd

ROOM = Path(keras_kd.__file__).parent
REGISTERED = re.compile(
    r'^@keras\.saving\.register_keras_serializable\("keras_kd"\)\nclass (\w+)',
    re.MULTILINE,
)
NAMES = sorted(
    name
    for path in ROOM.rglob("*.py")
    for name in REGISTERED.findall(path.read_text())
)
BEGINNINGS = [
    "import keras, keras_kd",
    "import keras_kd, keras",
    "from keras_kd.core.taps import Tap; import keras",
]


@pytest.mark.slow
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_every_class_is_found_in_a_new_process(beginning):
    assert {"Distiller", "SoftTargets", "LearnedStep", "FloatEnd"} <= {*NAMES}
    found = run_python(
        "-c",
        f"{beginning}\n"
        f"for name in {NAMES}:\n"
        "    found = keras.saving.get_registered_object('keras_kd>' + name)\n"
        "    assert found.__name__ == name, (name, found)\n"
        "assert keras.saving.get_registered_object('keras_kd>Nothing') is None",
    )
    assert found.returncode == 0


@pytest.mark.slow
def test_a_distiller_goes_on_in_a_new_process(tmp_path):
    teacher = keras_kd.students.mlp((4,), 3)
    student = keras_kd.students.mlp((4,), 3, width=0.1)
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    distiller.compile("adam")
    x = np.ones((8, 4), "float32")
    distiller.fit(x, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    teacher.save(tmp_path / "teacher.keras")
    aware = keras_kd.quantization.quantize_aware(student)
    aware.save(tmp_path / "aware.keras")
    np.save(tmp_path / "expected.npy", aware.predict(x, verbose=0))
    run_python(
        "-c",
        "import keras, keras_kd, numpy as np\n"
        f"folder = {str(tmp_path)!r}\n"
        "x = np.ones((8, 4), 'float32')\n"
        "load = keras.models.load_model\n"
        "aware = load(folder + '/aware.keras')\n"
        "expected = np.load(folder + '/expected.npy')\n"
        "np.testing.assert_array_equal(aware.predict(x, verbose=0), expected)\n"
        "distiller = load(folder + '/distiller.keras')\n"
        "teacher = keras_kd.teachers.load(folder + '/teacher.keras')\n"
        "distiller.teacher = teacher\n"
        "distiller.fit(x, verbose=0)\n"
        "assert int(distiller.optimizer.iterations) == 2\n",
    )


def test_classes_are_found_after_the_registry_was_cleared():
    registry = keras.saving.get_custom_objects()
    before = dict(registry)
    registry.clear()
    found = keras.saving.get_registered_object("keras_kd>SoftTargets")
    assert found is keras_kd.losses.SoftTargets
    registry.update(before)


def test_the_registry_stays_a_dict():
    registry = keras.saving.get_custom_objects()
    assert isinstance(registry, dict)
    with keras.saving.custom_object_scope({"Own": int}):
        assert keras.saving.get_registered_object("Own") is int
