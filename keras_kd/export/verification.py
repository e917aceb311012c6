"""How an exported file compares with its student, in numbers."""

import json
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field


@dataclass(frozen=True)
class Difference:
    """How far a file in one runtime is from its student.

    Args:
        max_abs_difference: Largest difference of an output; with several
            outputs, that of the worst one.
        steps: The same in quantization steps of that output; `None` for
            outputs that are floats.
        agreement: Share of examples on which both pick the same class (see
            `Verification`).
    """

    max_abs_difference: float
    steps: float | None
    agreement: float | None


@dataclass(frozen=True)
class Verification:
    """How a file compares with the student it was made from.

    Args:
        path: The file or folder.
        kind: `"saved_model"`, `"onnx"`, `"float32"`, `"float16"`,
            `"dynamic_range"`, `"int8"`, `"int16x8"`, `"int4_weights"` or
            `"mixed_int8"` (int8 behind first layers in float32, often with
            last ones in float32), as found in the file.
        num_examples: Number of examples compared; 0 if none were.
        max_abs_difference: Largest difference between an output of the file
            and the student's; with several outputs, that of the worst one.
        mean_abs_difference: Mean difference of the same output.
        output_range: Largest minus smallest value of the student for the same
            output.
        tolerance: Largest `max_abs_difference` allowed, as a share of
            `output_range`; a quantized output may differ by one step more.
        agreement: Share of examples (or positions) on which both pick the
            same class, or of labels on which both decide alike; `None` for
            outputs of one unit, numbers and embeddings.
        size_bytes: Size of the file, or of all files of the folder.
        input_dtype: Type of the file's inputs.
        output_dtype: Type of the file's outputs.
        passed: Whether outputs were compared and are within tolerance.
        cosine: Mean cosine between the embeddings of file and student;
            `None` for other outputs.
        accuracy: Share of labelled examples on which the file picks the
            right class, or share of labels that it decides right; `None`
            without labels.
        student_accuracy: The same for the student.
        accuracy_difference: `accuracy - student_accuracy`.
        weight_dtypes: Number of stored weights by type; empty for a
            SavedModel.
        operators: Number of operators by name; empty for a SavedModel.
        runtimes: The `Difference` in each runtime in which the file was
            compared, by its name. The fields above are those of the first.
        arena_bytes: The smallest arena of TFLite Micro in which the file
            runs (see `keras_kd.Evaluation`); `None` if it was not run there.
    """

    path: str
    kind: str
    num_examples: int
    max_abs_difference: float | None
    mean_abs_difference: float | None
    output_range: float | None
    tolerance: float
    agreement: float | None
    size_bytes: int
    input_dtype: str
    output_dtype: str
    passed: bool
    cosine: float | None = None
    accuracy: float | None = None
    student_accuracy: float | None = None
    accuracy_difference: float | None = None
    weight_dtypes: dict[str, int] = field(default_factory=dict)
    operators: dict[str, int] = field(default_factory=dict)
    runtimes: dict[str, Difference] = field(default_factory=dict)
    arena_bytes: int | None = None

    def to_json(self) -> str:
        """Return all fields as a JSON object."""
        return json.dumps(asdict(self))
