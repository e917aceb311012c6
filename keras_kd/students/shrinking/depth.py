"""Which blocks of a teacher its student leaves out."""

from math import floor

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.graphs import is_graph
from keras_kd.core.graphs import view
from keras_kd.students.shrinking.graph import removable_runs


def removed_blocks(
    teacher: keras.Model, depth: float, heads: set[int]
) -> dict[int, int]:
    """Choose the blocks to pass over, in every nested model on its own."""
    models = [view(teacher)]
    runs = []
    for model in models:
        runs += removable_runs(model, heads)
        models += [view(o) for o in model.operations if is_graph(o)]
    passed_over: dict[int, int] = {}
    for run in runs:
        gone = len(run) - floor(depth * len(run) + 0.5)
        # The last block goes last: its name is what feature losses tap.
        for block in [*run[-2::-1], run[-1]][:gone]:
            passed_over |= block
    if not passed_over:
        sizes = [len(run) for run in runs]
        advice = (
            f"Its runs have {sizes} blocks: use a smaller `depth`."
            if sizes
            else "It has no block that keeps its shape: use depth=1.0 and a "
            "smaller `width`."
        )
        raise ValueError(
            requirement(
                "students.shrink",
                "depth",
                "small enough to remove a block of the teacher",
                depth,
                advice,
            )
        )
    return passed_over
