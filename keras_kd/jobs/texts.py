"""Texts for small devices: the words are looked up before the model runs.

No `.tflite` or `.onnx` file holds strings. So teacher and student are
compared, trained and exported behind the teacher's vocabulary.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING
from typing import NamedTuple

from keras_kd.core.files import staged
from keras_kd.core.files import write_text
from keras_kd.jobs.outputs import TEXTS
from keras_kd.jobs.training import save_keras

if TYPE_CHECKING:
    import keras

    from keras_kd.data import Splits

TEACHER, LOOK_UP, VOCABULARY = TEXTS


class Numbered(NamedTuple):
    """A teacher, its file and its data, behind the vocabulary.

    Attributes:
        teacher: The teacher.
        path: Its file.
        splits: The data.
    """

    teacher: "keras.Model"
    path: Path
    splits: "Splits"


def numbered(splits: "Splits", folder: Path) -> "Splits":
    """Return the texts of a run as the numbers that its models take.

    Args:
        splits: The data; other than texts is returned as it is.
        folder: The folder of the run.
    """
    import keras

    path = folder / LOOK_UP
    if splits.kind != "text" or not path.exists():
        return splits
    look_up = keras.models.load_model(path)
    return splits.map(look_up, input_shape=look_up.output_shape[1:])


def behind_vocabulary(
    teacher: "keras.Model", path: Path, splits: "Splits", output: Path
) -> Numbered:
    """Look words up before the models, if the teacher does it itself.

    Args:
        teacher: The teacher. Models without a `TextVectorization` of their
            inputs, and their data, are returned as they are.
        path: Its file.
        splits: The data.
        output: Folder for both parts of the teacher, and for the words in the
            order of their numbers.
    """
    import keras

    from keras_kd.core import graphs
    from keras_kd.core.output_kinds import remember
    from keras_kd.core.output_kinds import remembered

    unchanged = Numbered(teacher, path, splits)
    if splits.kind != "text" or not graphs.is_graph(teacher):
        return unchanged
    graph = graphs.view(teacher)
    found = [
        node
        for node in graphs.calls(graph)
        if isinstance(node.operation, keras.layers.TextVectorization)
    ]
    if len(found) != 1:
        return unchanged
    numbers = found[0].output_tensors[0]
    look_up = keras.Model(graph.inputs[0], numbers)
    rest = keras.Model(numbers, graph.outputs[0], name=teacher.name)
    remember(rest, remembered(teacher))
    save_keras(rest, output / TEACHER)
    with staged(output / LOOK_UP) as scratch:
        look_up.save(scratch)  # `save_keras` keeps weights, not words
    words = found[0].operation.get_vocabulary()
    write_text(output / VOCABULARY, "\n".join(words) + "\n")
    sys.stderr.write(
        "Teacher and student take the numbers of words, which "
        f"`{output / LOOK_UP}` makes of texts; `{output / VOCABULARY}` has the "
        "words in their order.\n"
    )
    return Numbered(
        rest,
        output / TEACHER,
        splits.map(look_up, input_shape=tuple(numbers.shape[1:])),
    )
