"""What a loader gives: batches to be moved to a device, cut, and fed to the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .capture.points import batch_size
from .data.examples import Examples


def check_loader(loader: Any) -> None:
    """Raise TypeError, with what to do, for a loader that is a single batch or not iterable."""
    if isinstance(loader, Tensor) or (hasattr(loader, "__array__") and hasattr(loader, "shape")):
        raise TypeError(
            "loader: expected an iterable of batches, got a single array; "
            "give batches: x.split(64) of a tensor, or [x] for one batch"
        )
    if isinstance(loader, Examples):
        raise TypeError(
            "loader: expected an iterable of batches, got Examples; "
            "give neurocensus.data.batches(examples, 64)"
        )
    if isinstance(loader, (str, bytes, Mapping, nn.Module)) or not isinstance(loader, Iterable):
        raise TypeError(
            f"loader: expected an iterable of batches (a DataLoader, a list, a generator), "
            f"got {type(loader).__name__}"
        )


def moved(batch: Any, device: torch.device | None) -> Any:
    """`batch` with its tensors on `device`; other objects are moved if they have `.to`."""
    if device is None:
        return batch
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, (tuple, list, Mapping)):
        return _mapped(batch, lambda item: moved(item, device))
    return batch.to(device) if callable(getattr(batch, "to", None)) else batch


def cut(batch: Any, count: int, size: int | None, example_axis: int) -> Any:
    """The first `count` of the `size` examples of `batch`.

    Raises:
        TypeError: the batch is of a type that cannot be cut.
    """
    if isinstance(batch, Tensor):
        whole = batch.dim() <= example_axis or batch.shape[example_axis] != size
        return batch if whole else batch.narrow(example_axis, 0, count)
    if isinstance(batch, list) and len(batch) == size and not isinstance(batch[0], Tensor):
        return batch[:count]
    if isinstance(batch, (tuple, list, Mapping)):
        return _mapped(batch, lambda item: cut(item, count, size, example_axis))
    if size is not None and (batch is None or isinstance(batch, (str, bytes, int, float))):
        return batch
    raise TypeError(
        f"max_examples: cannot cut a batch that holds a {type(batch).__name__}; "
        "choose a multiple of the batch size, or cut the data"
    )


def _mapped(batch: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(batch, Mapping):
        return {key: function(value) for key, value in batch.items()}
    items = [function(item) for item in batch]
    if isinstance(batch, tuple):
        return type(batch)(*items) if hasattr(batch, "_fields") else tuple(items)
    return items


def feed(model: nn.Module, batch: Any) -> Any:
    """Run `model` on a batch: a tensor, the first of a tuple or list, or a mapping given as keywords."""
    if isinstance(batch, Tensor):
        return model(batch)
    if isinstance(batch, Mapping):
        return model(**batch)
    if isinstance(batch, (tuple, list)) and batch:
        return model(batch[0])
    raise TypeError(
        f"loader: expected batches that are tensors, tuples (x, ...) or dicts of keywords, "
        f"got {type(batch).__name__}; say how to run the model on it with forward=lambda model, batch: ..."
    )


def examples_in(batch: Any, example_axis: int | Mapping[str, int]) -> int | None:
    """Examples in a batch, by its first tensor (of a list without any: its length); None if it is neither."""
    size = batch_size(batch, example_axis)
    return len(batch) if size is None and isinstance(batch, list) else size
