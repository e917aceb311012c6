"""Known lines on the file descriptor are dropped; all others stay."""

import os

import pytest

from keras_kd.core.native_output import without_lines


def write(*lines):
    for line in lines:
        os.write(2, f"{line}\n".encode())


def test_only_known_lines_are_dropped(capfd):
    with without_lines("delegate"):
        write("INFO: Created a delegate.", "ERROR: no memory")
    write("later delegate")
    assert capfd.readouterr().err == "ERROR: no memory\nlater delegate\n"


def test_a_failure_shows_every_line(capfd):
    def fail():
        with without_lines("delegate"):
            write("INFO: Created a delegate.")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert capfd.readouterr().err == "INFO: Created a delegate.\n"


def test_an_empty_part_drops_every_line(capfd):
    with without_lines(""):
        write("one", "", "two")
    assert capfd.readouterr().err == ""
