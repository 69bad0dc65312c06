"""What killed processes leave half-written beside the files that they write atomically."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"\.[0-9a-f]{16}\.tmp")  # what `storage.atomic` writes to before it renames
_AGE: Final = 3600.0  # seconds without a write


def sweep(folder: Path) -> None:
    """Remove them from a folder. A process that still writes has written within the hour."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):  # gone, or another's
            if _NAME.fullmatch(path.name) and time.time() - path.stat().st_mtime > _AGE:
                path.unlink()
