"""A cache that Beam builds is the one that an ordinary build writes."""

import functools
import sys

import numpy as np
import pytest

import keras_kd
from keras_kd.core.errors import StaleCacheError
from keras_kd.core.packed_inputs import unpack
from keras_kd.teachers.cache.beam import BuildTeacherCache


@pytest.fixture
def beam():
    """Apache Beam, where it is installed."""
    return pytest.importorskip(
        "apache_beam", reason="needs apache_beam: pip install 'keras-kd[beam]'"
    )


@pytest.fixture
def run(beam, tmp_path, numpy_logits):
    """Build a cache on Beam's local runner."""

    def run(
        examples,
        make_teacher=None,
        path=tmp_path / "beam",
        options=("--runner=DirectRunner",),
        **settings,
    ):
        if make_teacher is None:
            make_teacher = lambda: numpy_logits  # noqa: E731
            settings.setdefault("teacher_output", "logits")
            settings.setdefault("teacher_id", "numpy")
        settings.setdefault("dtype", "float32")
        transform = BuildTeacherCache(path, make_teacher, **settings)
        arguments = beam.options.pipeline_options.PipelineOptions(options)
        with beam.Pipeline(options=arguments) as pipeline:
            _ = pipeline | beam.Create(list(examples)) | transform
        return keras_kd.TeacherCache.open(path, augment=settings.get("augment"))

    return run


def outputs(cache, x):
    return unpack(cache.join(x))[1]


@pytest.mark.parametrize("num_parts", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [{}, {"top_k": 2}, {"dtype": "float16"}],
    ids=["dense", "top_k", "float16"],
)
def test_equals_the_ordinary_build(run, build, vectors, num_parts, settings):
    made = run(vectors, num_parts=num_parts, batch_size=7, **settings)
    ordinary = build(vectors, **settings)
    made.verify()
    logits, expected = (
        outputs(cache, vectors)["logits"] for cache in (made, ordinary)
    )
    if "top_k" in settings:
        logits, expected = logits.dense(), expected.dense()
    np.testing.assert_array_equal(logits, expected)
    mine, its = made.info(), ordinary.info()
    assert (mine.pop("parts"), its.pop("parts")) == (num_parts, 1)
    for info in (mine, its):
        for name in ("bytes_per_example", "shards", "size_bytes"):
            del info[name]
    assert mine == its


def test_parts_are_those_of_an_ordinary_build(run, build, vectors, tmp_path):
    made = run(vectors[:50], num_parts=3)
    for part in range(3):  # goes on in the same folder
        cache = build(vectors, path=made.path, shard=(part, 3))
    assert len(cache) == 100
    keras_kd.TeacherCache.open(made.path).verify()


def test_keras_teacher_from_a_file_with_a_layer(
    run, build, teacher, images, tmp_path
):
    file = tmp_path / "teacher.keras"
    teacher.save(file)
    made = run(
        images,
        functools.partial(keras_kd.teachers.load, file),
        layers=["pool"],
        batch_size=5,
        num_parts=2,
    )
    ordinary = build(images, teacher, layers=["pool"])
    keras_kd.TeacherCache.open(made.path, teacher)
    mine, its = outputs(made, images), outputs(ordinary, images)
    np.testing.assert_allclose(mine["logits"], its["logits"], atol=1e-6)
    np.testing.assert_allclose(
        mine["features"]["pool"], its["features"]["pool"], atol=1e-6
    )


def test_views_are_those_of_an_ordinary_build(run, build, vectors):
    import tensorflow as tf

    def shake(x, seed):
        return x + tf.random.stateless_normal(tf.shape(x), seed)

    settings = {"views": 3, "augment": shake, "seed": 5}
    made = run(vectors, num_parts=2, batch_size=7, **settings)
    ordinary = build(vectors, **settings)
    dataset = tf.data.Dataset.from_tensor_slices(vectors).batch(100)
    (x, mine), (its_x, its) = (
        unpack(next(iter(cache.join(dataset, seed=1))))
        for cache in (made, ordinary)
    )
    assert np.abs(x - vectors).max() > 0.1
    np.testing.assert_array_equal(x, its_x)
    np.testing.assert_array_equal(mine["logits"], its["logits"])


def test_dict_inputs_pairs_and_equal_examples(run, vectors, numpy_logits):
    pairs = [
        ({"seen": row, "heard": row[:2]}, label)
        for label, row in enumerate(np.concatenate([vectors, vectors[:9]]))
    ]
    cache = run(pairs, teacher_input="seen", num_parts=2, batch_size=8)
    assert len(cache) == 100
    x = {"seen": vectors, "heard": vectors[:, :2]}
    np.testing.assert_allclose(
        outputs(cache, x)["logits"], numpy_logits(vectors), rtol=1e-6
    )


def test_parts_without_examples_are_written(run, vectors, numpy_logits):
    cache = run(vectors[:3], num_parts=8)
    assert (len(cache), cache.info()["parts"]) == (3, 8)
    assert cache.info()["complete"]
    np.testing.assert_allclose(
        outputs(cache, vectors[:3])["logits"],
        numpy_logits(vectors[:3]),
        rtol=1e-6,
    )


def test_each_part_says_how_much_it_holds(
    beam, vectors, numpy_logits, tmp_path
):
    from apache_beam.testing.util import assert_that

    def check(counts):
        assert [part for part, _ in sorted(counts)] == [0, 1, 2]
        assert sum(count for _, count in counts) == 100

    with beam.Pipeline() as pipeline:
        counts = (
            pipeline
            | beam.Create(list(vectors))
            | BuildTeacherCache(
                tmp_path,
                lambda: numpy_logits,
                num_parts=3,
                teacher_output="logits",
                teacher_id="numpy",
            )
        )
        assert_that(counts, check)


def test_goes_on_after_a_failure(run, build, vectors, numpy_logits, tmp_path):
    (tmp_path / "good").touch()

    def failing(x):
        if not (tmp_path / "good").exists():
            raise OSError("the network is down")
        return numpy_logits(x)

    settings = {
        "make_teacher": lambda: failing,
        "teacher_output": "logits",
        "teacher_id": "numpy",
        "shard_size": 4,
    }
    run(vectors[:40], **settings)
    (tmp_path / "good").unlink()
    with pytest.raises(Exception, match="the network is down"):
        run(vectors, **settings)
    (tmp_path / "good").touch()
    cache = run(vectors, **settings)
    cache.verify()
    np.testing.assert_array_equal(
        outputs(cache, vectors)["logits"],
        outputs(build(vectors), vectors)["logits"],
    )


def test_another_teacher_is_refused(run, vectors):
    run(vectors)
    with pytest.raises(StaleCacheError, match="of something else"):
        run(vectors, teacher_id="another")


def test_examples_of_several_shapes_are_refused(run, vectors):
    mixed = [vectors[0], vectors[1].astype("float64")]
    with pytest.raises(
        Exception, match=r"one shape and type\. Received: float32\(4\) and"
    ):
        run(mixed, batch_size=1)
    with pytest.raises(Exception, match="Received: no example"):
        run([])


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"make_teacher": None}, TypeError, "`make_teacher` to be a function"),
        ({"num_parts": 0}, ValueError, "`num_parts` to be an integer of at"),
        ({"batch_size": 0}, ValueError, "`batch_size`"),
        ({"teacher_output": None}, ValueError, "`teacher_output`"),
        ({"teacher_id": None}, ValueError, "needs `teacher_id`"),
        ({"views": 2}, ValueError, "`views` to be 1 without `augment`"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_before_anything_runs(
    settings, error, match, beam, tmp_path, numpy_logits
):
    good = {
        "make_teacher": lambda: numpy_logits,
        "teacher_output": "logits",
        "teacher_id": "numpy",
    }
    with pytest.raises(error, match=match):
        BuildTeacherCache(tmp_path, **(good | settings))


def test_a_model_in_place_of_a_function(beam, teacher, tmp_path):
    with pytest.raises(TypeError, match=r"lambda: keras_kd\.teachers\.load"):
        BuildTeacherCache(tmp_path, teacher)


def test_without_beam_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-kd\[beam\]'"):
        BuildTeacherCache(tmp_path, list)


@pytest.mark.slow
def test_workers_in_processes_of_their_own(run, teacher, images, tmp_path):
    file = tmp_path / "teacher.keras"
    teacher.save(file)
    cache = run(
        images,
        functools.partial(keras_kd.teachers.load, file),
        num_parts=2,
        batch_size=8,
        options=(
            "--runner=DirectRunner",
            "--direct_running_mode=multi_processing",
            "--direct_num_workers=2",
        ),
    )
    cache.verify()
    np.testing.assert_allclose(
        outputs(cache, images)["logits"],
        teacher.predict(images, verbose=0),
        atol=1e-6,
    )
