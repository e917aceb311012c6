"""The writer: resumes, refuses a second one, cleans up, says what failed."""

import errno
import os
import pathlib
import tempfile

import numpy as np
import pytest

import keras_kd
from keras_kd.teachers.cache import hashing
from keras_kd.teachers.cache import shards
from keras_kd.teachers.cache.manifest import Identity
from keras_kd.teachers.cache.structure import describe
from keras_kd.teachers.cache.writer import PartWriter


@pytest.fixture
def identity(vectors):
    return Identity({"kind": "id", "id": "me"}, describe(vectors))


@pytest.fixture
def write(tmp_path, identity, vectors):
    """Write some examples; the logits are the examples themselves."""

    def run(rows=slice(None), path=tmp_path / "cache", finish=True, **settings):
        with PartWriter(path, identity, **settings) as writer:
            keys = hashing.keys(vectors[rows])
            fresh = writer.claim(keys)
            writer.append(keys[fresh], [{"logits": vectors[rows][fresh]}])
            if finish:
                writer.finish()
        return path

    return run


def content(folder):
    return {
        file.name: file.read_bytes()
        for file in sorted(folder.iterdir())
        if file.suffix != ".lock"
    }


def test_shards_are_cut_by_the_order_of_examples(write, tmp_path):
    whole = content(write(shard_size=30))
    names = [f"part-0-of-1-0000{i}.shard" for i in range(4)]
    assert sorted(whole) == [*names, "part-0-of-1.json"]
    other = tmp_path / "other"
    for rows in (slice(0, 60), slice(0, 90), slice(0, 100)):
        write(rows, other, shard_size=30, finish=rows.stop == 100)
    assert content(other) == whole


def test_leftovers_of_a_killed_write_go(write, tmp_path):
    folder = write(slice(0, 60), shard_size=30)
    before = content(folder)
    scratch = folder / ".part-0-of-1-00002.shard.ab12"
    scratch.mkdir()
    (scratch / "part-0-of-1-00002.shard").write_bytes(b"half")
    (folder / "part-0-of-1-00002.shard").write_bytes(b"not named yet")
    (folder / ".part-0-of-10.json.cd34").mkdir()
    write(slice(0, 60), shard_size=30)
    assert not scratch.exists()
    assert (folder / ".part-0-of-10.json.cd34").exists(), "another part's"
    (folder / ".part-0-of-10.json.cd34").rmdir()
    assert content(folder) == before


def test_a_second_builder_is_refused(write, tmp_path, identity):
    with (
        PartWriter(tmp_path / "cache", identity),
        pytest.raises(RuntimeError, match="Another builder .* part 0 of 1"),
    ):
        write()
    write()
    with PartWriter(tmp_path / "parts", identity, (0, 2)):
        write(path=tmp_path / "parts", part=(1, 2))


def test_a_full_disk_is_said_and_finished_shards_are_kept(
    write, tmp_path, monkeypatch
):
    written = []
    original = os.fsync

    def full(descriptor):
        written.append(descriptor)
        if len(written) > 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        OSError, match=r"No space left.*build again: the \d shards"
    ):
        write(shard_size=20)
    monkeypatch.undo()
    cache = keras_kd.TeacherCache.open(tmp_path / "cache")
    assert 0 < len(cache) < 100
    assert len(cache) % 20 == 0
    cache.verify()
    assert not [f for f in cache.path.iterdir() if f.name.startswith(".")]
    write(shard_size=20)
    assert len(keras_kd.TeacherCache.open(cache.path)) == 100


def test_a_folder_that_cannot_be_written_to(write, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="Cannot write to the folder"):
        write(path=tmp_path / "file" / "cache")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX users")
def test_a_read_only_folder(write):
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        # Permissions do not stop root: be nobody for a moment.
        os.seteuid(user or 65534)
        try:
            with pytest.raises(OSError, match="Cannot write to the folder"):
                write(path=pathlib.Path(folder))
        finally:
            os.seteuid(user)
            os.chmod(folder, 0o700)


def test_the_default_shard_is_bounded_in_bytes(tmp_path, identity):
    with PartWriter(tmp_path / "cache", identity) as writer:
        wide = np.zeros((1, 1 << 20), "float32")
        writer.append(np.ones((1, 2), "<u8"), [{"logits": wide}])
        assert writer.room == (64 << 20) // (16 + 4 + (2 << 20)) - 1


def test_a_record_starts_after_the_keys(write, vectors):
    folder = write(shard_size=50)
    raw = (folder / "part-0-of-1-00000.shard").read_bytes()
    assert raw[:8] == b"kkdcache"
    keys = np.frombuffer(raw[64 : 64 + 50 * 16], "<u8").reshape(-1, 2)
    np.testing.assert_array_equal(keys, hashing.keys(vectors[:50]))
    assert len(raw) == 64 + 50 * 16 + 50 * (4 + 4 * 2)
    assert shards.HEADER_BYTES == 64
