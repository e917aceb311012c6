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
    """A teacher and its data, behind the vocabulary.

    Attributes:
        teacher: The teacher.
        splits: The data.
        look_up: From texts to numbers; `None` if nothing was changed.
    """

    teacher: "keras.Model"
    splits: "Splits"
    look_up: "keras.Model | None" = None

    def save(self, output: Path) -> Path | None:
        """Write both parts, and the words in the order of their numbers.

        Returns:
            The file of the teacher; `None` if nothing was changed.
        """
        if self.look_up is None:
            return None
        save_keras(self.teacher, output / TEACHER)
        with staged(output / LOOK_UP) as scratch:
            self.look_up.save(scratch)  # `save_keras` keeps no words
        words = self.look_up.layers[-1].get_vocabulary()
        write_text(output / VOCABULARY, "\n".join(words) + "\n")
        sys.stderr.write(
            "Teacher and student take the numbers of words, which "
            f"`{output / LOOK_UP}` makes of texts; `{output / VOCABULARY}` "
            "has the words in their order.\n"
        )
        return output / TEACHER


def behind_vocabulary(teacher: "keras.Model", splits: "Splits") -> Numbered:
    """Look words up before the models, if the teacher does it itself.

    Args:
        teacher: The teacher. Models without a `TextVectorization` of their
            inputs, and their data, are returned as they are.
        splits: The data.
    """
    import keras

    from keras_kd.core import graphs
    from keras_kd.core.output_kinds import remember
    from keras_kd.core.output_kinds import remembered

    unchanged = Numbered(teacher, splits)
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
    shape = tuple(numbers.shape[1:])
    return Numbered(rest, splits.map(look_up, input_shape=shape), look_up)
