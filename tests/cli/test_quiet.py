"""Loading TensorFlow prints nothing, unless it fails."""

import pytest
from processes import run_python


@pytest.mark.slow
def test_loading_prints_nothing_and_later_lines_are_shown():
    result = run_python(
        "-c",
        "import os, sys\n"
        "from keras_kd.cli.quiet import load_tensorflow\n"
        "load_tensorflow()\n"
        "load_tensorflow()\n"
        "from absl import logging\n"
        "logging.warning('a deprecated call')\n"
        "os.write(2, b'later')\n"
        "print('tensorflow' in sys.modules)",
    )
    assert result.stdout == "True\n"
    assert result.stderr == "later"


def test_a_failed_import_shows_what_was_printed():
    result = run_python(
        "-c",
        "import os, sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'keras':\n"
        "            os.write(2, b'library not found; ')\n"
        "            raise ImportError('no keras')\n"
        "sys.meta_path.insert(0, Broken())\n"
        "from keras_kd.cli.quiet import load_tensorflow\n"
        "try:\n"
        "    load_tensorflow()\n"
        "except ImportError as error:\n"
        "    os.write(2, str(error).encode())\n",
    )
    assert result.stderr == "library not found; no keras"
