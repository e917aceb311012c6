"""What is known of the tensors of a model that is made again."""

from dataclasses import dataclass
from typing import Any

from keras.layers import InputLayer

from keras_kd.quantization.fake_quantize import FakeQuantize
from keras_kd.quantization.fake_quantize import FixedRange
from keras_kd.quantization.fake_quantize import LearnedStep
from keras_kd.quantization.fake_quantize import MovingRange
from keras_kd.quantization.grids import Slot
from keras_kd.quantization.remake import Settings


@dataclass
class Known:
    """What is known of a tensor of the new model.

    Args:
        tensor: The tensor, kept so that its id stays its own.
        name: Of the operation that made it.
        on_grid: Whether its values are rounded.
        quantizer: The layer that rounded them, where it is in this model.
        is_float: Whether an operation without int8 made it.
        fixed: The range that the device prescribes.
        negative: Whether values below 0 occur.
        slot: Its place on a grid that it shares.
        rounded: Its rounded copy, once there is one.
        is_end: Whether it is an input or an output of the student.
    """

    tensor: Any
    name: str
    on_grid: bool = False
    quantizer: FakeQuantize | None = None
    is_float: bool = False
    fixed: tuple[float, float] | None = None
    negative: bool = True
    slot: Slot | None = None
    rounded: Any = None
    is_end: bool = False


class Tensors:
    """The tensors of one new model, and the layers that round them.

    Args:
        settings: How to quantize.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[int, Known] = {}
        self._shared: dict[int, FakeQuantize] = {}

    def note(self, tensor: Any, name: str, **facts: Any) -> Known:
        """Remember what is known of a tensor."""
        known = Known(tensor, name, **facts)
        self._known[id(tensor)] = known
        return known

    def of(self, tensor: Any) -> Known:
        """Return what is known of a tensor of the model."""
        return self._known[id(tensor)]

    def known(self, tensor: Any) -> Known | None:
        """Return what is known of a tensor; `None` of anything else."""
        return self._known.get(id(tensor))

    def rounded(self, known: Known) -> Any:
        """Return a tensor on its grid, rounded once."""
        if known.on_grid or "float" not in str(known.tensor.dtype):
            return known.tensor
        if known.rounded is None:
            if known.slot:
                known.rounded = self._on(known.slot, known)
            else:
                quantizer = self._quantizer(known)
                known.rounded = quantizer(known.tensor)
                self._note_rounded(known.rounded, known, quantizer)
        return known.rounded

    def joined(self, known: Known, slot: Slot | None) -> Any:
        """Return a tensor on the grid of the concatenation that takes it.

        Args:
            known: The tensor.
            slot: Its place there if it comes from another grid.
        """
        return known.tensor if slot is None else self._on(slot, known)

    def _on(self, slot: Slot, known: Known) -> Any:
        """Round to a shared grid."""
        if slot.grid not in self._shared:
            self._shared[slot.grid] = self._quantizer(known, slot)
        quantizer = self._shared[slot.grid]
        rounded = quantizer(known.tensor, number=slot.number)
        self._note_rounded(rounded, known, quantizer)
        return rounded

    def _note_rounded(
        self, tensor: Any, known: Known, quantizer: FakeQuantize
    ) -> None:
        self.note(
            tensor,
            known.name,
            on_grid=True,
            quantizer=quantizer,
            negative=known.negative,
        )

    def _quantizer(
        self, known: Known, slot: Slot | None = None
    ) -> FakeQuantize:
        """Make the layer that rounds a tensor, or all of a shared grid."""
        found = sum(
            k.name == known.name and k.on_grid for k in self._known.values()
        )
        settings = self._settings
        arguments: dict[str, Any] = {
            "name": f"{known.name}_quantized" + (f"_{found}" if found else ""),
            "delay": settings.delay,
            "count": slot.count if slot else 1,
            "data": isinstance(
                known.tensor._keras_history.operation, InputLayer
            ),
        }
        if known.fixed and not slot:
            return FixedRange(*known.fixed, **arguments)
        # Ranges of data and of logits are not the student's to choose.
        if settings.learned and not known.is_end:
            signed = slot.negative if slot else known.negative
            return LearnedStep(signed, **arguments)
        return MovingRange(settings.momentum, **arguments)
