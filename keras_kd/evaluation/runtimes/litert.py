"""LiteRT on this machine, with its fast kernels or its reference kernels."""

from typing import Any

import numpy as np

from keras_kd.core.native_output import without_lines
from keras_kd.evaluation.runtimes.refusals import Lacking
from keras_kd.evaluation.runtimes.runtime import Runtime
from keras_kd.evaluation.runtimes.runtime import Tensors
from keras_kd.evaluation.runtimes.runtime import in_batches
from keras_kd.evaluation.tflite_file import read_file

# LiteRT says so on the file descriptor whenever it first allocates tensors.
_CHATTER = "Created TensorFlow Lite XNNPACK delegate"


def open_interpreter(**options: Any) -> Any:
    """Return the runtime's interpreter; the arguments are its own."""
    from ai_edge_litert.interpreter import Interpreter

    with without_lines(_CHATTER):
        return Interpreter(**options)


def allocate(interpreter: Any) -> None:
    """Allocate an interpreter's tensors, which creates its delegate."""
    with without_lines(_CHATTER):
        interpreter.allocate_tensors()


class LiteRTSession:
    """A file in LiteRT's interpreter; see `Session`.

    Args:
        interpreter: The interpreter.
    """

    def __init__(self, interpreter: Any) -> None:
        self.interpreter: Any = interpreter
        details = interpreter.get_input_details()
        self._outputs = [d["index"] for d in interpreter.get_output_details()]
        self._shapes = {d["index"]: tuple(d["shape"]) for d in details}
        sizes = [tuple(d["shape_signature"]) for d in details]
        self._batch = sizes[0][0] if sizes[0] and sizes[0][0] > 0 else None
        self._allocated = False
        # Open sizes are 1 at first, which the graph may not allow.
        if all(size >= 0 for shape in sizes for size in shape[1:]):
            allocate(interpreter)
            self._allocated = True

    def run(self, inputs: Tensors) -> list[np.ndarray]:
        """See `Session`."""
        return in_batches(inputs, self._batch or len(inputs[0]), self._once)

    def close(self) -> None:
        """See `Session`."""
        self.interpreter = None

    def _once(self, inputs: Tensors) -> list[np.ndarray]:
        encoded = dict(zip(self._shapes, inputs, strict=True))
        shapes = {index: value.shape for index, value in encoded.items()}
        if shapes != self._shapes or not self._allocated:
            for index, shape in shapes.items():
                self.interpreter.resize_tensor_input(index, shape)
            allocate(self.interpreter)
            self._shapes, self._allocated = shapes, True
        for index, value in encoded.items():
            self.interpreter.set_tensor(index, value)
        self.interpreter.invoke()
        # get_tensor copies, so the next invoke does not change the results.
        return [self.interpreter.get_tensor(index) for index in self._outputs]


class LiteRT(Runtime):
    """LiteRT.

    Args:
        name: `"litert"`; `"litert-reference"` for the kernels that define
            what an operator computes, which are slow.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def open(self, content: bytes, num_threads: int = 1) -> LiteRTSession:
        """See `Runtime`."""
        options = {}
        if self.name == "litert-reference":
            from ai_edge_litert.interpreter import OpResolverType

            kind = OpResolverType.BUILTIN_REF
            options["experimental_op_resolver_type"] = kind
        return open_session(content, num_threads, **options)

    def lacking(self, content: bytes) -> list[Lacking]:
        """See `Runtime`: TensorFlow's own operators, which devices lack."""
        return [
            Lacking(
                operator.name,
                tuple(graph.tensors[i].dtype for i in operator.inputs),
                graph.layer(operator),
                "an operator of TensorFlow, not of LiteRT",
                "replace the layer",
            )
            for graph in read_file(content).graphs
            for operator in graph.operators
            if operator.name.startswith("Flex")
        ]


def open_session(
    content: bytes, num_threads: int, **options: Any
) -> LiteRTSession:
    """Open a file with options of LiteRT's interpreter.

    Raises:
        ValueError: If LiteRT cannot load the file.
    """
    try:
        return LiteRTSession(
            open_interpreter(
                model_content=content, num_threads=num_threads, **options
            )
        )
    except (RuntimeError, ValueError) as error:
        lines = str(error).strip().splitlines()
        raise ValueError(lines[0] if lines else "no reason given") from error
