"""What a comparison of a file with its student found."""

import json
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field


@dataclass(frozen=True)
class Verification:
    """How a file compares with the student it was made from.

    Args:
        path: The file or folder.
        kind: `"saved_model"`, `"onnx"`, `"float32"`, `"float16"`,
            `"dynamic_range"`, `"int8"`, `"int16x8"`, `"int4_weights"` or
            `"mixed_int8"` (int8 between first and last layers in float32),
            found in the file.
        num_examples: Examples compared; 0 where nothing was.
        max_abs_difference: Largest difference between an output of the file
            and the student's. With several outputs, of the worst one.
        mean_abs_difference: Mean difference, over the same output.
        output_range: Largest minus smallest of the student's values there.
        tolerance: Largest `max_abs_difference` allowed, as a share of
            `output_range`; a quantized output may differ by one step more.
        agreement: Share of examples (or positions) on which both pick the
            same class; `None` for outputs of one unit.
        size_bytes: Size of the file, or of all files of the folder.
        input_dtype: What the file takes.
        output_dtype: What the file gives.
        passed: Whether outputs were compared and are within tolerance.
        accuracy: Share of labelled examples on which the file picks the
            right class; `None` without labels.
        student_accuracy: The same for the student.
        accuracy_difference: `accuracy - student_accuracy`.
        weight_dtypes: Number of stored weights by type; empty for a
            SavedModel.
        operators: Number of operators by name; empty for a SavedModel.
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
    accuracy: float | None = None
    student_accuracy: float | None = None
    accuracy_difference: float | None = None
    weight_dtypes: dict[str, int] = field(default_factory=dict)
    operators: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return all fields as a JSON object."""
        return json.dumps(asdict(self))
