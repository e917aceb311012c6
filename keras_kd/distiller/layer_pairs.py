"""Pairs the layers of two models by the shapes of what they return."""

import math

from keras_kd.core.layer_outputs import LayerOutput
from keras_kd.core.layer_outputs import Outline

Pairs = list[tuple[str, str]]


def pair(
    teacher: Outline, student: Outline, wanted: str, data_format: str
) -> Pairs:
    """Return the paths of layers that belong together.

    Args:
        teacher: The teacher's layers.
        student: The student's layers.
        wanted: `"stages"`, the last layer of each resolution, or of each
            block where there is one resolution; `"last_map"`, the last
            layer with positions; or `"features"`, the last layer without
            positions. What a model does not have is replaced by the other.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        Pairs of paths, teacher first, in the order of the student's layers;
        empty if nothing belongs together.
    """
    models = (teacher, student)
    maps = [_maps(model.layers, data_format) for model in models]
    vectors = [[x for x in m.layers if len(x.shape) == 1] for m in models]
    kinds = [vectors, maps] if wanted == "features" else [maps, vectors]
    found = next((kind for kind in kinds if all(kind)), None)
    if found is None:
        return []
    if wanted != "stages":
        return [(found[0][-1].path, found[1][-1].path)]
    if found is maps:
        stages = [
            _by_level(layers, model.inputs, data_format)
            for layers, model in zip(maps, models, strict=True)
        ]
        if max(map(len, stages)) > 1:
            common = [level for level in stages[1] if level in stages[0]]
            if common:
                return [(stages[0][at], stages[1][at]) for at in common]
            return _by_depth(*(list(each.values()) for each in stages))
    return _by_depth(*map(_blocks, found))


def _maps(layers: list[LayerOutput], data_format: str) -> list[LayerOutput]:
    """Return the layers with positions and as many axes as the last such."""
    maps = [
        layer
        for layer in layers
        if len(layer.shape) > 1 and _count(layer.shape, data_format) > 1
    ]
    return [x for x in maps if len(x.shape) == len(maps[-1].shape)]


def _by_level(
    layers: list[LayerOutput], inputs: list[tuple[int, ...]], data_format: str
) -> dict[int, str]:
    """Return the last layer of each resolution, in order.

    A resolution is how often the largest map, usually the input, was halved
    along each axis, rounded: a convolution without padding takes off a few
    positions and stays on its level.
    """
    shapes = [shape for shape in inputs if len(shape) > 1]
    shapes += [layer.shape for layer in layers]
    largest = max(shapes, key=lambda shape: _count(shape, data_format))
    whole, axes = _count(largest, data_format), len(largest) - 1
    stages: dict[int, str] = {}
    for layer in layers:
        halved = math.log2(whole / _count(layer.shape, data_format)) / axes
        stages.pop(round(halved), None)
        stages[round(halved)] = layer.path
    return stages


def _count(shape: tuple[int, ...], data_format: str) -> int:
    first = data_format == "channels_first"
    return math.prod(shape[1:] if first else shape[:-1])


def _blocks(layers: list[LayerOutput]) -> list[str]:
    """Return the layer that ends each block; the last one without blocks.

    Blocks are the longest run of layers that repeats the same classes and
    shapes, if it is at least half of all layers. A block ends with its last
    `Add`, or, without one, where the run ends.
    """
    tokens = [layer[1:] for layer in layers]
    best: tuple[int, int, int] = (1, -1, len(tokens))  # length, -period, end
    for period in range(1, len(tokens) // 2 + 1):
        run = 0
        for at in range(period, len(tokens)):
            run = run + 1 if tokens[at] == tokens[at - period] else 0
            if run >= period:
                best = max(best, (run + period, -period, at + 1))
    if 2 * best[0] < len(tokens):
        return [layers[-1].path]
    length, period, end = best[0], -best[1], best[2]
    last = next(
        (at for at in range(period) if tokens[end - 1 - at][0] == "Add"), 0
    )
    ends = [end - 1 - last - period * k for k in range(length // period)]
    return [layers[at].path for at in reversed(ends)]


def _by_depth(teacher: list[str], student: list[str]) -> Pairs:
    """Pair layers at the same relative depth, the last with the last."""
    count = min(len(teacher), len(student))
    return [
        (
            teacher[math.ceil(k * len(teacher) / count) - 1],
            student[math.ceil(k * len(student) / count) - 1],
        )
        for k in range(1, count + 1)
    ]
