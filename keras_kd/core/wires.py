"""Records the inputs and outputs of layers while a model runs.

A wire replaces one method of one layer *instance* (its `call`, or its
`activation`) while there are listeners, and passes each call's inputs and
output to every recorder of the current thread. Replicas of a mirrored strategy
run the same layers in several threads, so the listeners of a wire are counted
under a lock and recorders are kept per thread.
"""

import functools
import threading
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from typing import NamedTuple

WireKey = tuple[int, str]


class Passage(NamedTuple):
    """One recorded call of a wired method."""

    layer: Any
    attribute: str
    inputs: tuple[Any, ...]
    output: Any


Recorder = Callable[[Passage], None]


class _Wire:
    """The replaced method of one layer and its number of listeners."""

    def __init__(self, layer: Any, attribute: str) -> None:
        self.layer = layer
        self.attribute = attribute
        self.users = 0
        self.own = vars(layer).get(attribute)
        self.original = getattr(layer, attribute)

    def install(self) -> None:
        original, layer, attribute = self.original, self.layer, self.attribute

        @functools.wraps(original)
        def wired(*args: Any, **kwargs: Any) -> Any:
            output = original(*args, **kwargs)
            passage = Passage(layer, attribute, args, output)
            for recorder in getattr(_LOCAL, "recorders", ()):
                recorder(passage)
            return output

        # Bypasses `Layer.__setattr__`, which would track the function.
        object.__setattr__(layer, attribute, wired)

    def remove(self) -> None:
        if self.own is None:
            vars(self.layer).pop(self.attribute, None)
        else:
            object.__setattr__(self.layer, self.attribute, self.own)


_LOCK = threading.RLock()
_LOCAL = threading.local()
_WIRES: dict[WireKey, _Wire] = {}


@contextmanager
def listening(
    places: Iterable[tuple[Any, str]], recorder: Recorder
) -> Iterator[None]:
    """Send every call of the given `(layer, attribute)` places to `recorder`.

    The layers are restored when the last listener leaves.
    """
    places = list(places)
    with _LOCK:
        for layer, attribute in places:
            wire = _WIRES.get((id(layer), attribute))
            if wire is None:
                wire = _WIRES[id(layer), attribute] = _Wire(layer, attribute)
                wire.install()
            wire.users += 1
    recorders = _LOCAL.__dict__.setdefault("recorders", [])
    recorders.append(recorder)
    try:
        yield
    finally:
        recorders.remove(recorder)
        with _LOCK:
            for layer, attribute in places:
                wire = _WIRES[id(layer), attribute]
                wire.users -= 1
                if not wire.users:
                    wire.remove()
                    del _WIRES[id(layer), attribute]
