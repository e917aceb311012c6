"""What has its name is whole; what failed leaves nothing behind."""

import os
import re

import pytest

from keras_kd.core import files


def test_a_file_gets_its_name_at_the_end(tmp_path):
    target = tmp_path / "model.tflite"
    with files.staged(target) as scratch:
        scratch.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_a_failed_write_leaves_nothing(tmp_path):
    def write():
        with files.staged(tmp_path / "model.tflite") as scratch:
            scratch.write_bytes(b"half")
            raise RuntimeError("converter died")

    with pytest.raises(RuntimeError, match="converter died"):
        write()
    assert os.listdir(tmp_path) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")

    def write():
        with files.staged(target) as scratch:
            scratch.write_bytes(b"half")
            raise RuntimeError("converter died")

    with pytest.raises(RuntimeError, match="converter died"):
        write()
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_a_body_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), files.staged(tmp_path / "a"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_replaces_a_folder_whole(tmp_path):
    target = tmp_path / "saved"
    target.mkdir()
    (target / "stale").write_text("old")
    with files.staged(target) as scratch:
        (scratch / "variables").mkdir(parents=True)
        (scratch / "variables" / "data").write_text("new")
    assert os.listdir(tmp_path) == ["saved"]
    assert os.listdir(target) == ["variables"]
    assert (target / "variables" / "data").read_text() == "new"


def test_a_file_replaces_a_file(tmp_path):
    files.write_text(tmp_path / "a.json", "1")
    files.write_text(tmp_path / "a.json", "é")
    assert (tmp_path / "a.json").read_bytes() == "é".encode()


def test_missing_parent_folders_are_made(tmp_path):
    files.write_bytes(tmp_path / "a" / "b" / "c.bin", b"1")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"1"


def test_a_parent_that_is_a_file_is_named_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "model.tflite"
    entered = False
    with (
        pytest.raises(
            OSError, match=re.escape(f"Cannot write to the folder `{tmp_path}")
        ),
        files.staged(target),
    ):
        entered = True
    assert not entered


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0,
    reason="needs a user whom folder permissions bind (not root)",
)
def test_a_read_only_folder_is_named_at_once(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(OSError, match="Permission denied"):
        files.check_writable(folder / "model.tflite")


def test_size_bytes_of_a_file_and_of_a_folder(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"678")
    assert files.size_bytes(tmp_path / "a") == 5
    assert files.size_bytes(tmp_path) == 8
