"""The logits behind a model's probabilities: they give the loss a gradient where a sigmoid is flat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from ..capture.names import unwrapped


class Logits:
    """Finds what the sigmoid module at the end of a model was given.

    A model that ends otherwise, in `torch.sigmoid` for example, has no logits here.
    """

    def __init__(self, model: nn.Module) -> None:
        self._sigmoids = [module for module in unwrapped(model).modules() if isinstance(module, nn.Sigmoid)]
        self._calls: list[tuple[Any, Any]] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have hooks on the sigmoids, for one forward."""
        self._calls.clear()
        handles = [module.register_forward_hook(self._note) for module in self._sigmoids]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def behind(self, outputs: Tensor) -> Tensor | None:
        """The logits of `outputs`, which the last watched forward gave; None unless a sigmoid gave them."""
        whole = outputs if outputs._base is None else outputs._base  # a view, such as outputs[:, 0]
        found = [given for given, gave in self._calls if gave is whole and gave.numel() == outputs.numel()]
        self._calls.clear()
        return found[-1] if found else None

    def _note(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if args:
            self._calls.append((args[0], output))
