"""Layers are paired by the shapes of what they return."""

import pytest

from keras_kd.core.layer_outputs import LayerOutput
from keras_kd.core.layer_outputs import Outline
from keras_kd.distiller.layer_pairs import pair

BLOCK = [
    ("Dense", (9, 8)),
    ("Add", (9, 8)),
    ("LayerNormalization", (9, 8)),
    ("Dense", (9, 32)),
    ("Dense", (9, 8)),
    ("Add", (9, 8)),
    ("LayerNormalization", (9, 8)),
]


def outline(*layers, inputs=()):
    """Layers named by their place; an int stands for a square map."""
    found = [
        ("Conv2D", (each, each, 4)) if isinstance(each, int) else each
        for each in layers
    ]
    return Outline(
        [
            LayerOutput(str(place), kind, shape)
            for place, (kind, shape) in enumerate(found)
        ],
        [(each, each, 3) for each in inputs],
    )


def stages(teacher, student, data_format="channels_last"):
    return pair(teacher, student, "stages", data_format)


def test_the_last_layer_of_each_resolution():
    teacher = outline(32, 32, 16, 16, 8, ("Dense", (4,)), inputs=[32])
    student = outline(32, 16, 8, 8, inputs=[32])
    assert stages(teacher, student) == [("1", "0"), ("3", "1"), ("4", "3")]


def test_resolutions_count_from_the_input():
    teacher = outline(112, 56, 28, inputs=[224])
    student = outline(32, 16, 8, 4, inputs=[32])
    assert stages(teacher, student) == [("0", "1"), ("1", "2"), ("2", "3")]


def test_frames_that_convolutions_take_off_are_no_new_resolution():
    teacher = outline(26, 13, 11, 5, inputs=[28])
    assert stages(teacher, teacher) == [("0", "0"), ("2", "2"), ("3", "3")]


def test_the_last_map_of_a_resolution_may_come_late():
    net = outline(16, 8, 4, 8, 16, inputs=[16])
    assert stages(net, net) == [("2", "2"), ("3", "3"), ("4", "4")]


def test_without_equal_resolutions_depth_counts():
    teacher = outline(64, 32, 16, 8)
    student = outline(4, 4, 4, inputs=[128])
    assert stages(teacher, student) == [("3", "2")]


def test_maps_of_a_squeeze_and_excitation_are_none():
    net = outline(16, 1, 16, 8, 1, 8, inputs=[16])
    assert stages(net, net) == [("2", "2"), ("5", "5")]


def test_channels_first():
    net = outline(
        ("Conv2D", (4, 16, 16)), ("Conv2D", (9, 8, 8)), ("Conv2D", (9, 8, 8))
    )
    assert stages(net, net, "channels_first") == [("0", "0"), ("2", "2")]


@pytest.mark.parametrize(
    ("blocks", "layer"),
    [
        (BLOCK, "Add"),  # after the norm comes the next block's first layer
        ([("Block", (9, 8))], "Block"),
        ([("Dense", (9, 32)), ("Dense", (9, 8))], "Dense"),
    ],
    ids=["residual", "composite", "plain"],
)
def test_blocks_of_one_resolution_by_relative_depth(blocks, layer):
    first = ("Embedding", (9, 8))
    head = [("Dropout", (9, 8)), ("GlobalAveragePooling1D", (8,))]
    teacher = outline(first, *4 * blocks, *head)
    student = outline(first, *2 * blocks, *head)
    found = stages(teacher, student)
    size = len(blocks)
    last = size - (1 if layer == "Add" else 0)
    assert found == [
        (str(2 * size - size + last), str(last)),
        (str(4 * size - size + last), str(2 * size - size + last)),
    ]


def test_more_blocks_in_the_student():
    teacher = outline(*2 * BLOCK)
    student = outline(*5 * BLOCK)
    assert stages(teacher, student) == [("5", "19"), ("12", "33")]


def test_vectors_are_paired_where_a_model_has_no_maps():
    net = outline(16, 8, ("GlobalAveragePooling2D", (4,)), inputs=[16])
    dense = outline(("Dense", (6,)), ("Dense", (6,)))
    assert stages(dense, dense) == [("0", "0"), ("1", "1")]
    assert stages(net, dense) == [("2", "1")]


def test_only_the_last_map_or_the_features():
    net = outline(16, 8, 8, ("Pool", (4,)), ("Dense", (6,)), inputs=[16])
    assert pair(net, net, "last_map", "channels_last") == [("2", "2")]
    assert pair(net, net, "features", "channels_last") == [("4", "4")]
    assert pair(net, outline(8), "features", "channels_last") == [("2", "0")]


def test_nothing_in_common():
    assert stages(outline(16, 8), outline(("Dense", (3,)))) == []
    assert stages(outline(), outline(16)) == []
