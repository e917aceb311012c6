"""Layers chosen by a pattern, or paired by the Distiller."""

import logging

import keras
import numpy as np
import pytest
from keras import layers

import keras_kd
from keras_kd.losses import AttentionTransfer
from keras_kd.losses import Hint
from keras_kd.losses import RelationalKD
from keras_kd.losses import SimilarityPreserving

pytestmark = pytest.mark.untraced

X = np.random.default_rng(0).normal(size=(8, 8, 8, 1)).astype("float32")


def stack(filters, prefix):
    """Two layers a resolution, `<prefix>_1` to `<prefix>_4`."""
    return [
        layers.Conv2D(filters, 1, stride, name=f"{prefix}_{number}")
        for number, stride in enumerate((1, 1, 2, 1), 1)
    ]


def head():
    return [
        layers.GlobalAveragePooling2D(name="pool"),
        layers.Dense(3, name="logits"),
    ]


def sequential(filters=2, prefix="conv"):
    return keras.Sequential(
        [keras.Input((8, 8, 1)), *stack(filters, prefix), *head()]
    )


def nested(filters=4, prefix="block"):
    backbone = keras.Sequential(
        [keras.Input((8, 8, 1)), *stack(filters, prefix)], name="backbone"
    )
    inputs = keras.Input((8, 8, 1))
    x = backbone(inputs)
    for layer in head():
        x = layer(x)
    return keras.Model(inputs, x, name="teacher")


def distiller(loss, teacher, student=None):
    made = keras_kd.Distiller(teacher, student or sequential(), loss, alpha=1.0)
    made.compile("sgd")
    return made


def cached(folder, teacher, names):
    return keras_kd.TeacherCache.build(
        folder, teacher, X, layers=names, dtype="float32", verbose=0
    )


PAIRS = (["backbone/block_2", "backbone/block_4"], ["conv_2", "conv_4"])


@pytest.mark.parametrize("kind", ["live", "cached"])
def test_auto_pairs_resolutions_and_survives_saving(tmp_path, caplog, kind):
    teacher, data = nested(), X
    if kind == "cached":
        # The names stand in another order than the layers.
        teacher = cached(tmp_path / "cache", teacher, PAIRS[0][::-1])
        data = teacher.join(X)
    loss = Hint(layers="auto")
    assert loss.get_config()["layers"] == "auto"
    with caplog.at_level(logging.INFO, "keras_kd"):
        model = distiller(loss, teacher)
    assert (loss.teacher_layer, loss.student_layer) == PAIRS
    (message,) = caplog.messages
    assert "backbone/block_2 - conv_2, backbone/block_4 - conv_4" in message
    model.fit(data, verbose=0)
    model.save(tmp_path / "distiller.keras")

    caplog.clear()
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    (again,) = loaded.distillation_losses
    assert (again.teacher_layer, again.student_layer) == PAIRS
    assert not caplog.messages
    loaded.teacher = teacher
    history = loaded.fit(data, verbose=0).history
    assert np.isfinite(history["hint"]).all()


class ChannelsFirst(layers.Layer):
    """A convolution that CPUs can run."""

    def __init__(self, filters, stride, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Conv2D(filters, 1, stride)

    def build(self, shape):
        self.inner.build((None, *shape[2:], shape[1]))

    def call(self, maps):
        maps = self.inner(keras.ops.moveaxis(maps, 1, -1))
        return keras.ops.moveaxis(maps, -1, 1)


@pytest.mark.parametrize("loss", [Hint, AttentionTransfer])
def test_auto_pairs_maps_with_channels_first(loss):
    def model(filters):
        return keras.Sequential(
            [
                keras.Input((1, 8, 8)),
                *[
                    ChannelsFirst(filters, stride, name=f"conv_{number}")
                    for number, stride in enumerate((1, 1, 2, 1), 1)
                ],
                layers.Flatten(),
                layers.Dense(3),
            ]
        )

    made = loss(layers="auto", data_format="channels_first")
    distiller(made, model(3), model(2)).fit(np.moveaxis(X, -1, 1), verbose=0)
    assert made.student_layer == ["conv_2", "conv_4"]
    assert made.teacher_layer == ["conv_2", "conv_4"]


def test_auto_of_relations_takes_the_features_or_the_last_map():
    loss = RelationalKD(layers="auto")
    distiller(loss, nested())
    assert (loss.teacher_layer, loss.student_layer) == (["pool"], ["pool"])
    loss = SimilarityPreserving(layers="auto")
    distiller(loss, nested())
    assert (loss.teacher_layer, loss.student_layer) == (
        ["backbone/block_4"],
        ["conv_4"],
    )


@pytest.mark.slow
def test_auto_pairs_the_blocks_of_transformers():
    def model(depth):
        return keras_kd.students.text_transformer(
            (6,), 3, width=0.1, vocabulary_size=9, depth=depth
        )

    loss = Hint(layers="auto")
    keras_kd.Distiller(model(2), model(1), loss)
    assert loss.student_layer == ["pool_real"]  # one block repeats nothing
    loss = Hint(layers="auto")
    keras_kd.Distiller(model(3), model(2), loss)
    assert loss.teacher_layer == ["stage_2_add", "stage_3_add"]
    assert loss.student_layer == ["stage_1_add", "stage_2_add"]


def test_auto_with_a_cache_that_holds_no_layers(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"`hint` needs `layers`.*build the cache with "
        r"`layers=loss\.teacher_layer`",
    ):
        distiller(Hint(layers="auto"), cached(tmp_path, nested(), ()))


def test_auto_needs_a_teacher_that_has_layers():
    ensemble = keras_kd.teachers.Ensemble([nested()])
    for teacher in (None, ensemble):
        with pytest.raises(ValueError, match='for `layers="auto"`'):
            distiller(Hint(layers="auto"), teacher)


def test_auto_needs_layers_that_correspond():
    teacher = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(name="flat"), layers.Dense(3)]
    )
    student = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 8, name="one"),
            layers.Reshape((3,)),
        ]
    )
    with pytest.raises(
        ValueError,
        match=r"\['flat'\], the student \['one'\], without the head",
    ):
        distiller(Hint(layers="auto"), teacher, student)


@pytest.mark.parametrize("kind", ["live", "ensemble", "cached"])
def test_patterns_match_whole_paths_in_the_models_order(tmp_path, kind):
    teacher, pattern, data = nested(), r"backbone/block_[24]", X
    expected = PAIRS[0]
    if kind == "ensemble":
        teacher = keras_kd.teachers.Ensemble([teacher])
        pattern, expected = f"0/{pattern}", [f"0/{name}" for name in expected]
    elif kind == "cached":
        teacher = cached(tmp_path / "cache", teacher, [*PAIRS[0], "pool"])
        data = teacher.join(X)
    loss = AttentionTransfer(
        teacher_layer=pattern, student_layer=[r"con._2", "conv_4"]
    )
    model = distiller(loss, teacher)
    assert (loss.teacher_layer, loss.student_layer) == (expected, PAIRS[1])
    assert loss.get_config()["teacher_layer"] == expected
    history = model.fit(data, verbose=0).history
    assert np.isfinite(history["attention_transfer"]).all()


def test_a_pattern_for_one_layer_reads_that_layer():
    loss = Hint(teacher_layer=".*block_4", student_layer="conv_4")
    distiller(loss, nested())
    assert loss.teacher_layer == "backbone/block_4"
    assert loss.student_layer == "conv_4"


def test_a_layers_name_is_no_pattern():
    loss = Hint(teacher_layer="conv.1_2", student_layer="conv_2")
    distiller(loss, sequential(prefix="conv.1"))
    assert loss.teacher_layer == "conv.1_2"


def test_both_sides_must_match_as_many_layers():
    loss = Hint(teacher_layer=".*block_[124]", student_layer="conv_[24]")
    with pytest.raises(
        ValueError,
        match=r"names 3: \['backbone/block_1', .*names 2: \['conv_2', "
        r"'conv_4'\]\. Narrow",
    ):
        distiller(loss, nested())


def test_a_pattern_that_matches_nothing_shows_the_nearest_paths():
    loss = Hint(teacher_layer="backbone/blok_[0-9]", student_layer="conv_2")
    with pytest.raises(
        ValueError, match=r"`teacher_layer`.*nearest paths: \['backbone/block_"
    ):
        distiller(loss, nested())
    loss = Hint(teacher_layer="block_1", student_layer="conv_(2")
    with pytest.raises(ValueError, match=r"`student_layer`.*It is none: "):
        distiller(loss, nested())


def test_a_name_that_fits_two_layers_is_no_pattern():
    inputs = keras.Input((8, 8, 1))
    twin = [nested(prefix="a.b"), nested(prefix="a.b")]
    twin[1].name = "other"
    outputs = layers.Average()([each(inputs) for each in twin])
    loss = Hint(teacher_layer="a.b_1", student_layer="conv_1")
    with pytest.raises(ValueError, match="which names 2"):
        distiller(loss, keras.Model(inputs, outputs))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": "all"}, "`layers` to be one of 'auto'"),
        ({"layers": "auto", "teacher_layer": "a"}, "`layers` to be None where"),
        (
            {"teacher_layer": ["a", "b"], "student_layer": "a"},
            r"as many layers as `teacher_layer` \(2\)",
        ),
    ],
    ids=["unknown", "both", "counts"],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Hint(**arguments)
    with pytest.raises(ValueError, match="because it reads logits"):
        keras_kd.losses.SoftTargets(layers="auto")
