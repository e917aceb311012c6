"""An ensemble of models as one teacher."""

import math
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.output_kinds import linear_kind
from keras_kd.core.taps import Tapped
from keras_kd.teachers.base import BoundTeacher
from keras_kd.teachers.live import LiveTeacher


class Ensemble:
    """Several Keras models whose weighted mean is the teacher.

    An ensemble usually teaches better than its best member, but runs every
    member in each step; a `TeacherCache` of it runs them only once. It is
    neither trained nor saved with the student.

    Formula:
        `"logits"`: `sum_m w_m z_m`. `"probabilities"`: `log sum_m w_m
        softmax(z_m)`, computed as `logsumexp_m(log w_m + log_softmax(z_m))`,
        which are logits of the mean distribution. The weights are divided by
        their sum.

    Reference:
        Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 1: the
        arithmetic (`"probabilities"`) or geometric (`"logits"`) mean of the
        members' distributions as soft targets.

    Args:
        models: Built Keras models with the same classes. A layer's name
            begins with the member's index: `"0/conv"`.
        weights: One number above 0 per model. Defaults to equal weights.
        combine: `"logits"` or `"probabilities"`. Defaults to `"logits"`.
        output: What the models return, if their layers do not tell:
            `"logits"`, `"probabilities"`, `"binary_logits"` or
            `"binary_probabilities"`; or a list with one kind per model.

    Shapes:
        Inputs are those of the members; the result is class logits in
        float32, `(batch, ..., classes)`, in the structure of the members'
        outputs.

    Raises:
        TypeError: If `models` is not a list of Keras models.
        ValueError: If `models` is empty, the weights are not one number
            above 0 per model, or the models have different classes or
            outputs.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import keras_kd
    >>> models = [keras_kd.students.mlp((4,), 3) for _ in range(2)]
    >>> ensemble = keras_kd.teachers.Ensemble(models, weights=[3, 1])
    >>> print(ensemble.weights, ensemble(np.ones((5, 4), "float32")).shape)
    (0.75, 0.25) (5, 3)
    """

    output_kind = "logits"

    def __init__(
        self,
        models: Sequence[keras.Model],
        weights: Sequence[float] | None = None,
        combine: str = "logits",
        *,
        output: Any = None,
    ) -> None:
        self.models = _check_models(models)
        self.weights = _check_weights(weights, len(self.models))
        self.combine = check_choice(
            "Ensemble", "combine", combine, ("logits", "probabilities")
        )
        self._kinds = _one_each(output, len(self.models))
        self._bound = _BoundEnsemble(self, [()] * len(self.models), self._kinds)
        _check_classes(self._bound.members)

    def __call__(self, inputs: Any) -> Any:
        """Return the ensemble's logits, without gradient.

        Args:
            inputs: A batch, as the members take it.
        """
        return self._bound(inputs).logits

    def bind(
        self,
        layers: Iterable[str] = (),
        output_kind: Any = None,
        *,
        logits: bool = True,
    ) -> BoundTeacher:
        """Return the ensemble together with the layers to read.

        Args:
            layers: Paths such as `"0/conv"`.
            output_kind: What every member returns, instead of `output`.
            logits: Whether to return logits.

        Raises:
            ValueError: If a path does not begin with a member's index.
        """
        count = len(self.models)
        wanted: list[list[str]] = [[] for _ in range(count)]
        for path in layers:
            index, _, layer = path.partition("/")
            if not (layer and index.isdecimal() and int(index) < count):
                raise ValueError(
                    requirement(
                        "Distiller",
                        "teacher_layer",
                        "a member's index and its layer, such as '0/conv'",
                        path,
                        f"The ensemble has members 0 to {count - 1}.",
                    )
                )
            wanted[int(index)].append(layer)
        kinds = self._kinds if output_kind is None else [output_kind] * count
        return _BoundEnsemble(self, wanted, kinds, logits=logits)

    def fingerprint_parts(self) -> list[Any]:
        """Return what the outputs depend on: the models and the settings."""
        settings = {
            "combine": self.combine,
            "weights": list(self.weights),
            "outputs": list(self._kinds),
        }
        return [*self.models, settings]


class _BoundEnsemble(BoundTeacher):
    """An ensemble together with the layers to read from each member."""

    def __init__(
        self,
        ensemble: Ensemble,
        layers: Sequence[Iterable[str]],
        kinds: Sequence[Any],
        *,
        logits: bool = True,
    ) -> None:
        self.model = ensemble
        self.models = ensemble.models
        self._logits = logits
        self.members = [
            LiveTeacher(model, names, kind, logits=logits)
            for model, names, kind in zip(
                ensemble.models, layers, kinds, strict=True
            )
        ]
        self.spec = self._tapped([member.spec for member in self.members])
        # The mean of probabilities is a logarithm, like other logits.
        self.kind_by_key = {
            key: kind and linear_kind(kind)
            for key, kind in self.members[0].kind_by_key.items()
        }

    def run(self, inputs: Any) -> Tapped:
        """Run each member once and average."""
        return self._tapped([member(inputs) for member in self.members])

    def _tapped(self, outputs: list[Tapped]) -> Tapped:
        features = {
            f"{index}/{path}": feature
            for index, tapped in enumerate(outputs)
            for path, feature in tapped.features.items()
        }
        logits = None
        if self._logits:
            logits = keras.tree.map_structure(
                self._mean, *[tapped.logits for tapped in outputs]
            )
        return Tapped(logits, logits, features)

    def _mean(self, *logits: Any) -> Any:
        weights = self.model.weights
        if isinstance(logits[0], keras.KerasTensor):
            return keras.KerasTensor(logits[0].shape, "float32")
        if self.model.combine == "logits":
            scaled = [w * z for w, z in zip(weights, logits, strict=True)]
            return sum(scaled[1:], scaled[0])
        terms = [
            math.log(w) + ops.log_softmax(z, axis=-1)
            for w, z in zip(weights, logits, strict=True)
        ]
        return ops.logsumexp(ops.stack(terms), axis=0)


def _check_models(models: Any) -> tuple[keras.Model, ...]:
    message = requirement(
        "Ensemble", "models", "a list of one or more keras.Model", models
    )
    if not isinstance(models, (list, tuple)) or not all(
        isinstance(model, keras.Model) for model in models
    ):
        raise TypeError(message)
    if not models:
        raise ValueError(message)
    return tuple(models)


def _check_weights(weights: Any, count: int) -> tuple[float, ...]:
    if weights is None:
        return (1.0 / count,) * count
    numbers = [
        check_number("Ensemble", f"weights[{index}]", weight, above=0)
        for index, weight in enumerate(weights)
    ]
    if len(numbers) != count:
        raise ValueError(
            requirement(
                "Ensemble", "weights", f"{count} numbers, one a model", weights
            )
        )
    return tuple(number / sum(numbers) for number in numbers)


def _one_each(output: Any, count: int) -> list[Any]:
    if not isinstance(output, (list, tuple)):
        return [output] * count
    if len(output) != count:
        raise ValueError(
            requirement(
                "Ensemble", "output", f"one kind, or {count} in a list", output
            )
        )
    return list(output)


def _check_classes(members: list[LiveTeacher]) -> None:
    specs = [
        keras.tree.map_structure(
            lambda tensor: str(tuple(tensor.shape)), member.spec.logits
        )
        for member in members
    ]
    for member, spec in zip(members, specs, strict=True):
        if spec != specs[0]:
            raise ValueError(
                "`Ensemble` needs `models` to give logits over the same "
                f"classes. Received: `{members[0].model.name}` gives "
                f"{show(specs[0])}, `{member.model.name}` gives {show(spec)}."
            )
