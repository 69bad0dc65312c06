"""The folder that an experiment's report goes to."""

from __future__ import annotations

import json
from pathlib import Path


def check_report(out: Path, title: str, advice: str = "give another folder") -> None:
    """Raise if the folder has the report of another experiment, which this one's would replace.

    Raises:
        ValueError: ``results.json`` there has another title.
    """
    try:
        found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(found, dict) and found.get("title", title) != title:
        raise ValueError(
            f"--out: {out} has the report of another experiment ({found['title']}), which would be replaced; "
            f"{advice}"
        )
