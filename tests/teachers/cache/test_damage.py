"""Damage and mix-ups: each is noticed, none crashes."""

import json
import shutil

import numpy as np
import pytest

import keras_kd
from keras_kd.teachers.cache import manifest as manifests

REFUSED = (keras_kd.StaleCacheError, FileNotFoundError)


@pytest.fixture
def folder(build, vectors):
    """Two parts of several shards."""
    for part in range(2):
        cache = build(vectors, shard=(part, 2), shard_size=16, top_k=2)
    return cache.path


def files_of(folder):
    return [f for f in sorted(folder.iterdir()) if f.suffix != ".lock"]


def is_noticed(folder):
    try:
        keras_kd.TeacherCache.open(folder).verify()
    except REFUSED:
        return True
    return False


def damages(file, count, rng):
    whole = file.read_bytes()
    for number in range(count):
        place = int(rng.integers(len(whole)))
        if number % 4 == 3:
            yield f"truncated to {place}", whole[:place]
            continue
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        yield f"bit flip at {place}", bytes(flipped)


def test_flips_and_truncations_of_every_file_are_noticed(folder):
    rng = np.random.default_rng(0)
    files = files_of(folder)
    assert len(files) >= 8
    count = -(-240 // len(files))
    for file in files:
        whole = file.read_bytes()
        for what, broken in damages(file, count, rng):
            file.write_bytes(broken)
            assert is_noticed(folder), f"{file.name}: {what}"
        file.write_bytes(whole)
    assert not is_noticed(folder)


def test_every_bit_of_a_header_and_every_byte_of_a_manifest(folder):
    manifest = folder / "part-0-of-2.json"
    shard = folder / "part-0-of-2-00000.shard"
    for file, length in ((manifest, 400), (shard, 64)):
        whole = file.read_bytes()
        for place in range(length):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << (place % 8)
            file.write_bytes(flipped)
            with pytest.raises(REFUSED):
                keras_kd.TeacherCache.open(folder)
        file.write_bytes(whole)


def test_verify_names_the_damaged_shards(folder):
    shard = folder / "part-1-of-2-00001.shard"
    raw = bytearray(shard.read_bytes())
    raw[-1] ^= 1
    shard.write_bytes(raw)
    cache = keras_kd.TeacherCache.open(folder)
    with pytest.raises(
        keras_kd.StaleCacheError, match=r"1 damaged of \d+ .*-of-2-00001.shard"
    ):
        cache.verify()


def test_a_missing_shard_is_named(folder):
    (folder / "part-0-of-2-00001.shard").unlink()
    with pytest.raises(
        keras_kd.StaleCacheError, match="part-0-of-2-00001.shard.*missing"
    ):
        keras_kd.TeacherCache.open(folder)


def test_swapped_shards_are_named(folder):
    one, other = (folder / f"part-0-of-2-0000{i}.shard" for i in (0, 1))
    assert one.stat().st_size == other.stat().st_size
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    with pytest.raises(
        keras_kd.StaleCacheError, match="00000.shard.*another place"
    ):
        keras_kd.TeacherCache.open(folder)


def test_a_shard_of_another_teacher_is_refused(build, vectors, tmp_path):
    mine = build(vectors, path=tmp_path / "mine").path
    other = build(vectors, path=tmp_path / "other", teacher_id="other").path
    name = "part-0-of-1-00000.shard"
    shutil.copy(other / name, mine / name)
    with pytest.raises(keras_kd.StaleCacheError, match="another cache"):
        keras_kd.TeacherCache.open(mine)


def test_a_part_of_another_cache_is_refused(build, vectors, tmp_path):
    for name in ("mine", "other"):
        for part in range(2):
            build(
                vectors,
                path=tmp_path / name,
                teacher_id=name,
                shard=(part, 2),
            )
    for file in (tmp_path / "other").glob("part-1-of-2*"):
        shutil.copy(file, tmp_path / "mine" / file.name)
    with pytest.raises(
        keras_kd.StaleCacheError, match="do not belong together.*'other'"
    ):
        keras_kd.TeacherCache.open(tmp_path / "mine")


def test_a_manifest_under_another_name_is_refused(folder):
    shutil.copy(folder / "part-0-of-2.json", folder / "part-1-of-2.json")
    with pytest.raises(keras_kd.StaleCacheError, match="under another name"):
        keras_kd.TeacherCache.open(folder)


def test_mixed_divisions_are_refused(folder):
    shutil.copy(folder / "part-0-of-2.json", folder / "part-0-of-3.json")
    with pytest.raises(keras_kd.StaleCacheError, match="2 and 3 parts"):
        keras_kd.TeacherCache.open(folder)


def forge(folder, change):
    """Rewrite a manifest with a checksum that is right."""
    file = folder / "part-0-of-2.json"
    content = json.loads(file.read_text())
    del content["checksum"]
    change(content)
    file.write_bytes(manifests._signed(content))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.update(version=2), "version 2, newer .* Upgrade keras_kd"),
        (lambda c: c.update(format="parquet"), "not the manifest"),
        (lambda c: c.update(part=[5]), "part"),
        (lambda c: c.update(complete=1), "complete"),
        (lambda c: c.pop("identity"), "identity"),
        (lambda c: c["identity"].update(dtype="object"), "dtype"),
        (lambda c: c["identity"].update(example=["x"]), "structure"),
        (lambda c: c["identity"].update(pickle="x"), "pickle"),
        (lambda c: c["shards"][0].update(name="../x.shard"), "not the name"),
        (lambda c: c["shards"][0].update(name="/etc/passwd"), "not the name"),
        (lambda c: c["shards"][0].update(examples=2**60), "bytes instead of"),
        (lambda c: c["shards"][0].update(examples=-1), "no size"),
        (lambda c: c["shards"][0].update(size_bytes=7), "bytes instead of"),
        (lambda c: c["shards"][0].update(key_hash="0"), "keys do not match"),
    ],
)
def test_forged_manifests_are_refused(change, match, folder):
    forge(folder, change)
    with pytest.raises(keras_kd.StaleCacheError, match=match):
        keras_kd.TeacherCache.open(folder)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[" * 100_000, "null", '{"format": 3}', "\x00"]
)
def test_nonsense_for_a_manifest(text, folder):
    (folder / "part-0-of-2.json").write_text(text)
    with pytest.raises(keras_kd.StaleCacheError, match="is damaged"):
        keras_kd.TeacherCache.open(folder)


def test_a_file_that_shrinks_after_opening_is_noticed(folder, vectors):
    cache = keras_kd.TeacherCache.open(folder)
    for shard in folder.glob("*.shard"):
        shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(keras_kd.StaleCacheError, match="changed after opening"):
        cache.join(vectors)


def test_no_cache(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="No teacher cache at"):
            keras_kd.TeacherCache.open(path)


def test_changed_weights_are_refused(build, teacher, images):
    path = build(images, teacher).path
    keras_kd.TeacherCache.open(path, teacher)
    bias = teacher.layers[-1].bias
    bias.assign(bias + 1e-3)
    match = "the teacher's weights"
    with pytest.raises(keras_kd.StaleCacheError, match=match):
        keras_kd.TeacherCache.open(path, teacher)
    with pytest.raises(keras_kd.StaleCacheError, match=match):
        build(images, teacher)


def test_another_id_is_refused(build, vectors):
    path = build(vectors).path
    keras_kd.TeacherCache.open(path, "numpy")
    with pytest.raises(keras_kd.StaleCacheError, match="'numpy', not 'torch'"):
        keras_kd.TeacherCache.open(path, "torch")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"dtype": "float16"}, "dtype: 'float32', not 'float16'"),
        ({"top_k": 2}, "top_k: None, not 2"),
        ({"teacher_id": "other"}, "id: 'numpy', not 'other'"),
        ({"teacher_output": "binary_logits"}, "output: 'logits', not 'bin"),
        ({"teacher_input": lambda x: x}, "teacher_input: None, not"),
        ({"seed": 1}, "seed: 0, not 1"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_building_into_another_cache_is_refused(
    settings, match, build, vectors
):
    build(vectors)
    with pytest.raises(keras_kd.StaleCacheError, match=match):
        build(vectors, **settings)


def test_other_examples_are_refused(build, vectors):
    build(vectors)
    with pytest.raises(keras_kd.StaleCacheError, match="example: "):
        build(vectors.astype("float64"))
