"""The processes that torchrun started for one command: who speaks, and how they tell one another.

A process by itself is the first of one, and nothing here asks for more than that.
"""

from __future__ import annotations

import base64
import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import typer

from ..resuming.carried import Saved
from . import errors

_commands = count()  # of this process: all of them run the same ones, and a store may outlive them
_LOOK = 0.05  # seconds between two looks into the store
_TIMEOUT = 600.0  # seconds for an exchange, once all have come


@contextmanager
def started(device: str) -> Iterator[Processes]:
    """This process among those of its launcher, if there is one; see `neurocensus.distributed.launched`.

    An error in one of them ends all: the first one that fails says why, the others leave with its exit code.
    Warnings are the first process's affair.
    """
    from ..distributed import launched

    errors.where = ""
    with launched(device) as (rank, size):
        here = Processes(rank, size)
        if not here.speaks:
            warnings.simplefilter("ignore")
        try:
            yield here
        except typer.Exit:
            raise
        except Exception:
            if not here.fails_first():
                raise typer.Exit(2) from None
            errors.where = f" (process {rank} of {size})" if size > 1 else ""
            raise


class Processes:
    """This process, number `rank` of `size`.

    All of them make the same calls of `meet` and `tell`, in the same order.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self._keys, self._meetings = f"neurocensus/command/{next(_commands)}", count()

    @property
    def speaks(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def note(self, message: str) -> None:
        """A remark on stderr, from the process that speaks."""
        if self.speaks:
            errors.note(message)

    def meet(self) -> None:
        """Wait until all have come here, however long they work.

        Raises:
            typer.Exit: one of them has failed, and has said why.
        """
        if self.size == 1:
            return
        store, key = _store(), f"{self._keys}/meeting/{next(self._meetings)}"
        store.add(key, 1)
        while store.add(key, 0) < self.size:
            if store.check([f"{self._keys}/failed"]):
                raise typer.Exit(2)
            time.sleep(_LOOK)

    def tell(self, mine: Saved) -> list[Saved]:
        """What each process has to say, by rank. Waits for all, as `meet`."""
        if self.size == 1:
            return [mine]
        self.meet()
        from ..distributed.exchange import Exchange
        from ..distributed.group import open_group
        from ..distributed.meeting import Meeting

        group = open_group(None)
        with Meeting(group, _TIMEOUT, "the audit") as meeting:
            return [_decoded(text) for text in Exchange(group, meeting).texts(_encoded(mine))]

    def fails_first(self) -> bool:
        """Tell the others that this process fails; whether none has before."""
        if self.size == 1:
            return True
        try:
            return bool(_store().add(f"{self._keys}/failed", 1) == 1)
        except RuntimeError:  # whoever keeps the store is gone: no telling
            return True


def _store() -> Any:
    from ..distributed.group import open_group

    return open_group(None).store


def _encoded(saved: Saved) -> str:
    arrays = {
        name: [array.dtype.str, array.shape, base64.b64encode(array.tobytes()).decode()]
        for name, array in saved.arrays.items()
    }
    return json.dumps([saved.values, arrays])


def _decoded(text: str) -> Saved:
    values, arrays = json.loads(text)
    return Saved(
        values,
        {
            name: np.frombuffer(base64.b64decode(content), dtype).reshape(shape)
            for name, (dtype, shape, content) in arrays.items()
        },
    )
