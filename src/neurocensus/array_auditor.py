"""`ArrayAuditor`: a census of activations that you hand over yourself, from any framework or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .layer import LayerAudit
from .result import Audit
from .state import UnitState


class ArrayAuditor:
    """Counts activations chunk by chunk, without hooks and without torch.

    ::

        auditor = ArrayAuditor(model="mine")
        for x in chunks:
            auditor.update({"hidden": hidden(x), "output": output(x)})
        audit = auditor.compute()

    Args:
        model: the model's name.
        kinds: what each layer is, for tables: ``{"hidden": "relu"}``.
        unit_axis: where units are, for all layers (int) or by name.
        example_axis: where examples are, likewise.
        threshold, histogram: as for `neurocensus.Auditor`.

    Raises:
        ValueError: a threshold that is negative or not finite.
    """

    def __init__(
        self,
        *,
        model: str = "arrays",
        kinds: Mapping[str, str] | None = None,
        unit_axis: int | Mapping[str, int] = 1,
        example_axis: int | Mapping[str, int] = 0,
        threshold: float = 0.0,
        histogram: bool = False,
    ) -> None:
        UnitState(1, threshold=threshold, histogram=histogram)  # raise now, not at the first chunk
        self._model, self._kinds = model, dict(kinds or {})
        self._unit_axis, self._example_axis = unit_axis, example_axis
        self._threshold, self._histogram = float(threshold), histogram
        self._layers: dict[str, LayerAudit] = {}
        self._examples = self._batches = 0

    def update(self, activations: Mapping[str, Any]) -> ArrayAuditor:
        """Count one chunk: what each layer gave for the same examples.

        Args:
            activations: an array per layer, (examples, units, ...), as `UnitState.update` takes them. A layer
                may be missing in some chunks.

        Returns:
            This auditor.

        Raises:
            TypeError: no mapping; as `UnitState.update`, with the layer's name.
            ValueError: likewise; layers with unequal numbers of examples.
        """
        if not isinstance(activations, Mapping):
            raise TypeError(
                f"activations: expected a mapping of arrays by layer, got {type(activations).__name__}; "
                "name the layer, as in update({'hidden': array})"
            )
        chunks = {name: self._count(name, array) for name, array in activations.items()}
        examples = {name: chunk.examples for name, chunk in chunks.items()}
        if len(set(examples.values())) > 1:
            raise ValueError(f"activations: expected the same examples of all layers, got {examples}")
        for name, chunk in chunks.items():  # all of them could be counted: none is lost, none half done
            had = self._layers.get(name)
            if had is None:
                self._layers[name] = chunk
            else:
                had.state.merge(chunk.state)
                self._layers[name] = replace(had, calls=had.calls + 1)
        self._examples += next(iter(examples.values()), 0)
        self._batches += 1
        return self

    def compute(self) -> Audit:
        """What was counted so far, as a copy: go on, and compute again."""
        return Audit(
            {name: replace(layer, state=layer.state.copy()) for name, layer in self._layers.items()},
            model=self._model,
            examples=self._examples,
            batches=self._batches,
            expected=tuple(self._layers),
            threshold=self._threshold,
        )

    def _count(self, name: str, array: Any) -> LayerAudit:
        """One layer's part of a chunk."""
        unit, example = _axis(self._unit_axis, name, 1), _axis(self._example_axis, name, 0)
        try:
            shape = tuple(array.shape)
            units, dtype = shape[unit], str(array.dtype).removeprefix("torch.")
        except (AttributeError, IndexError):
            raise ValueError(
                f"activations[{name!r}]: expected an array with examples on axis {example} and units on axis "
                f"{unit}, got {getattr(array, 'shape', type(array).__name__)}"
            ) from None
        had = self._layers.get(name)
        try:
            state = UnitState(
                units if had is None else had.units, threshold=self._threshold, histogram=self._histogram
            )
            state.update(array, unit, example_axis=example, first_example=self._examples)
        except (TypeError, ValueError) as error:
            raise type(error)(f"activations[{name!r}]: {error}") from error
        return LayerAudit(
            name=name,
            state=state,
            kind=self._kinds.get(name, "array"),
            unit_axis=unit % len(shape),
            unit_rule="given",
            example_axis=example % len(shape),
            dtype=dtype,
            training=False,
            calls=1,
        )


def _axis(choice: int | Mapping[str, int], name: str, default: int) -> int:
    return choice if isinstance(choice, int) else choice.get(name, default)
