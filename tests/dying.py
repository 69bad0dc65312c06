"""A process that dies by its own hand at a chosen place: what resuming is tested with."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Sites:
    """Places where a process may die: wherever `passing` is called, and what a file system does."""

    def __init__(self, deadly: int | None) -> None:
        self.deadly, self.passed = deadly, 0

    def passing(self, *_: Any) -> dict[str, float]:
        self.passed += 1
        if self.passed == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return {}

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            self.passing()
            result = function(*args, **options)
            self.passing()
            return result

        return wrapped

    def put_up(self) -> None:
        write = Path.write_bytes

        def write_in_halves(path: Path, content: bytes) -> int:
            write(path, content[: len(content) // 2])
            self.passing()
            return write(path, content)

        Path.write_bytes = write_in_halves  # type: ignore[method-assign, assignment]
        os.fsync = self.passing  # a killed process leaves what it wrote to the system: no need to wait
        os.replace = self.around(os.replace)
        Path.unlink = self.around(Path.unlink)  # type: ignore[method-assign]
