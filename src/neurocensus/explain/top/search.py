"""`top_examples`: one call, for torch models and for networks of arrays. The latter need no torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arguments import integer
from ..layers import chosen
from .result import LayerTop, TopExamples
from .state import TopState

if TYPE_CHECKING:
    import torch

    from ...selection import Layers


def top_examples(
    model: Any,
    loader: Iterable[Any],
    k: int = 9,
    *,
    layers: Layers = "activations",
    device: str | torch.device | None = None,
    max_examples: int | None = None,
    mask: str | Callable[[Any], torch.Tensor | None] | None = None,
    forward: Callable[[Any, Any], Any] | None = None,
    unit_axis: int | Mapping[str, int] | None = None,
    example_axis: int | Mapping[str, int] = 0,
    progress: bool = True,
) -> TopExamples:
    """Find the k inputs that activate each unit of a model most: one pass, memory for k x units.

    A torch model runs in eval mode and inference mode and is left as it was found, as by `neurocensus.audit`.

    Args:
        model: any `torch.nn.Module`; or a network of arrays: its ``activations(x)`` gives the arrays
            (examples, units) of its layers by name, in network order.
        loader: an iterable of batches, see `neurocensus.audit`. For a network of arrays: NumPy arrays, or
            tuples ``(x, ...)`` of which x is given to it.
        k: inputs to find for each unit.
        layers, device, max_examples, mask, forward, unit_axis, example_axis, progress: see
            `neurocensus.audit`. Of a network of arrays, ``layers`` may be a list of names.

    Raises:
        TypeError: neither such model, a loader that is a single array, `k` no integer; ``activations(x)``
            that gives no mapping.
        ValueError: `k` below 1, no examples, a layer that does not exist, an option that a network of arrays
            does not have; a layer of such a network without a row for each example.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        fixed = {
            "device": device, "mask": mask, "forward": forward, "unit_axis": unit_axis,
            "example_axis": example_axis or None,
        }  # fmt: skip
        _refuse(name for name, value in fixed.items() if value is not None)
        return _of_arrays(model, loader, integer("k", k, 1), layers, max_examples)

    from ...capture.names import unwrapped
    from ...running import run
    from .recorder import TopRecorder

    recorder = TopRecorder(unwrapped(model), k, layers=layers, unit_axis=unit_axis, example_axis=example_axis)
    examples, _ = run(
        recorder, loader, device=device, max_examples=max_examples, mask=mask, forward=forward,
        progress="top examples" if progress else None,
    )  # fmt: skip
    return recorder._compute(examples)


def _of_arrays(
    model: Any, loader: Iterable[Any], k: int, layers: Any, max_examples: int | None
) -> TopExamples:
    if not callable(getattr(model, "activations", None)):
        raise TypeError(
            "model: expected a torch.nn.Module, or a network with activations(x) that gives arrays "
            f"(examples, units) by layer, got {type(model).__name__}"
        )
    if hasattr(loader, "__array__") or not isinstance(loader, Iterable):
        raise TypeError(
            f"loader: expected an iterable of arrays, got {type(loader).__name__}; "
            "give batches: [x] for one batch"
        )
    rest = None if max_examples is None else integer("max_examples", max_examples, 1)
    states: dict[str, TopState] = {}
    seen = 0
    for batch in loader:
        x = np.asarray(batch[0] if isinstance(batch, (tuple, list)) else batch)
        x = x if rest is None else x[: rest - seen]
        found = model.activations(x)
        if not isinstance(found, Mapping):
            raise TypeError(
                "model: expected activations(x) to give a mapping of arrays by layer, got "
                f"{type(found).__name__}"
            )
        for name in chosen(layers, list(found)):
            array = found[name]
            units = _units(name, array, len(x))
            if name not in states:
                states[name] = TopState(units, k)
            states[name].update(array, first_example=seen)
        seen += len(x)
        if seen == rest:
            break
    if not seen:
        raise ValueError("loader: expected at least one example, got none")
    tops = {
        name: LayerTop(name, "activations", state.values, state.examples) for name, state in states.items()
    }
    return TopExamples(tops, model=type(model).__name__, examples=seen)


def _refuse(given: Iterable[str]) -> None:
    names = ", ".join(given)
    if names:
        raise ValueError(f"{names}: a network of arrays has no such thing; leave that out")


def _units(name: str, array: Any, examples: int) -> int:
    """Units of a layer, whose array has a row for each of the examples."""
    shape = tuple(np.shape(array))
    if len(shape) != 2 or shape[0] != examples or not shape[1]:
        raise ValueError(
            f"model: expected activations(x) to give arrays ({examples}, units), a row for each input, got "
            f"shape {shape} for {name!r}"
        )
    return int(shape[1])
