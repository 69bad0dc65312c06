"""Run a model over a data set under an observer, and leave it as it was found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from operator import length_hint
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .batches import check_loader, cut, examples_in, feed, moved
from .devices import available
from .observer import Observer, describe
from .preserve import evaluating, is_sharded, random_states

if TYPE_CHECKING:
    from .resuming.checkpoint import Checkpoint


def run(
    observer: Observer,
    loader: Iterable[Any],
    *,
    device: str | torch.device | None = None,
    max_examples: int | None = None,
    mask: str | Callable[[Any], Tensor | None] | None = None,
    forward: Callable[[Any, Any], Any] | None = None,
    progress: str | None = None,
    beside: Sequence[Observer] = (),
    first_example: Callable[[], int] | None = None,
    checkpoint: Checkpoint | None = None,
    empty: bool = False,
) -> tuple[int, int]:
    """Run the observer's model over `loader` in eval mode and inference mode, attached for that long.

    Args:
        observer: not attached. Its model is that which is run: give it an unwrapped one.
        loader, device, max_examples, mask, forward: see `neurocensus.audit`.
        progress: a word beside the progress bar, on a terminal only; None: no bar.
        beside: others that look at the same model, and number the examples alike.
        first_example: asked at each batch for the number of its first example; default: examples are numbered
            as they come.
        checkpoint: goes on after what was counted before, and is told of each batch.
        empty: whether a loader without a batch is no error.

    Returns:
        How many examples and batches there were, those before an interruption among them.

    Raises:
        TypeError: a loader that is a single array, a batch that needs `forward`.
        ValueError: no examples, a layer name that does not exist, nothing to observe; batches that are not
            those that were counted before an interruption.
    """
    check_loader(loader)
    if max_examples is not None and not isinstance(max_examples, int):
        raise TypeError(f"max_examples: expected an integer, got {type(max_examples).__name__}")
    if max_examples is not None and max_examples < 1:
        raise ValueError(f"max_examples: expected at least 1, got {max_examples}")
    if not (mask is None or isinstance(mask, str) or callable(mask)):
        raise TypeError(f"mask: expected a key of the batches or a function of one, got {describe(mask)}")
    if not (forward is None or callable(forward)):
        raise TypeError(f"forward: expected a function (model, batch), got {describe(forward)}")
    place = None if device is None else available(device)
    model, capture, example_axis = observer.model, observer._capture, observer.example_axis
    captures = [capture, *(other._capture for other in beside)]
    begun = examples = batches = 0
    if checkpoint is not None:
        examples, begun = checkpoint.examples, checkpoint.batches
        batches = begun
    # FSDP's all-gather does not work on tensors of inference mode.
    quiet = torch.no_grad() if any(map(is_sharded, model.modules())) else torch.inference_mode()
    with ExitStack() as stack:
        for context in (random_states(), evaluating(model, place), *beside, observer, quiet):
            stack.enter_context(context)
        bar = stack.enter_context(_bar(progress))
        target = place if place is not None else device_of(model)
        rest = loader if checkpoint is None else checkpoint.rest_of(loader, target)
        for batch in bar(rest if examples != max_examples else ()):
            size = examples_in(batch, example_axis)
            if max_examples is not None and (size is None or size > max_examples - examples):
                axis = example_axis if isinstance(example_axis, int) else 0
                batch, size = cut(batch, max_examples - examples, size, axis), max_examples - examples
            batch = moved(batch, target)
            if mask is not None:
                observer.mask = found = _mask_of(mask, batch)
                if found is not None and size is not None and len(found) != size:
                    raise ValueError(
                        f"mask: expected one row for each of the {size} examples of the batch, "
                        f"got a mask of shape {tuple(found.shape)}"
                    )
            before = capture.examples
            for each in captures:
                each.first_example = examples if first_example is None else first_example()
            if forward is None:
                feed(model, batch)
            else:
                forward(model, batch)
            examples += capture.examples - before if size is None else size
            batches += 1
            if batches == 1:
                capture.check_names()
            if checkpoint is not None:
                checkpoint.passed(examples, batches)
            if examples == max_examples:
                break
    if empty and not batches:
        return 0, 0
    if not examples:
        raise ValueError(f"loader: expected at least one example, got {batches} batches without any")
    if batches == begun:
        return examples, batches  # all was counted before
    if not capture.batches:
        raise ValueError("forward: expected it to call the model that it is given, or a part of it")
    if not capture.counted():
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in capture.skipped.items())
        raise ValueError(
            f"layers: {observer.layers!r} chose nothing that could be counted in {type(model).__name__}; "
            f'layers="modules" counts the outputs of all modules{reasons}'
        )
    return examples, batches


def device_of(model: nn.Module) -> torch.device | None:
    """Where a model is, by its first parameter or buffer."""
    first = next(chain(model.parameters(), model.buffers()), None)
    return None if first is None else first.device


def _mask_of(mask: str | Callable[[Any], Tensor | None], batch: Any) -> Tensor | None:
    if callable(mask):
        return mask(batch)
    if not isinstance(batch, Mapping) or mask not in batch:
        got = f"keys {list(batch)}" if isinstance(batch, Mapping) else type(batch).__name__
        raise ValueError(f"mask: expected batches that are dicts with the key {mask!r}, got {got}")
    found: Tensor = batch[mask]
    return found


@contextmanager
def _bar(progress: str | None) -> Iterator[Callable[[Iterable[Any]], Iterable[Any]]]:
    """A function that passes a loader through, with a progress bar on a terminal."""
    if not (progress and sys.stderr.isatty()):
        yield lambda loader: loader
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:

        def track(loader: Iterable[Any]) -> Iterable[Any]:
            total = length_hint(loader) or None  # a DataLoader may have a length that raises
            yield from bar.track(loader, total=total, description=progress)

        yield track
