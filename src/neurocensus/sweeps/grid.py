"""Networks that are trained together and measured; their records are kept in a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from .. import storage, tables
from ..text import file_name
from .measuring import measure
from .plan import Baseline
from .problem import Problem

Progress: TypeAlias = Callable[[int], None]
"""Called with the number of updates done."""


def train_and_measure(
    name: str,
    baselines: Sequence[Baseline],
    facts: Sequence[Mapping[str, Any]],
    problem: Problem,
    *,
    folder: str | os.PathLike[str] | None = None,
    dtype: str = "float64",
    device: str = "cpu",
    on_start: Callable[[], Progress | None] | None = None,
) -> list[dict[str, Any]]:
    """A record of each network, see `SweepTable`.

    Args:
        name: of the files in `folder`.
        baselines: with one number of iterations, and networks of one depth.
        facts: what else to put into each record, first.
        folder: keeps the records once all are there, and till then a checkpoint: the same call goes on from
            either. None: nothing is kept.
        dtype, device: see `train_together`.
        on_start: called if there is work to do.
    """
    from .together import fingerprint, train_together  # they need torch

    iterations = {baseline.iterations for baseline in baselines}
    if len(iterations) != 1:
        raise ValueError(f"baselines: expected one number of iterations, got {sorted(iterations)}")
    networks = [baseline.build() for baseline in baselines]
    rates = [baseline.learning_rate for baseline in baselines]
    frozen = [baseline.frozen for baseline in baselines]
    stem = file_name(name)
    place = None if folder is None else Path(folder)
    done = None if place is None else place / f"{stem}.json"
    checkpoint = None if place is None else place / f"{stem}.checkpoint"
    records: list[dict[str, Any]] = [
        {"network": baseline.name, **fact} for baseline, fact in zip(baselines, facts, strict=True)
    ]
    key = fingerprint(networks, *problem, rates, frozen, iterations, dtype, records)
    found = None if done is None else _read(done, key)
    if found is not None:
        return found
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    trained = train_together(
        networks,
        *problem.train,
        learning_rates=rates,
        iterations=iterations.pop(),
        frozen=frozen,
        dtype=dtype,
        device=device,
        checkpoint=checkpoint,
        progress=None if on_start is None else on_start(),
    )
    for record, baseline, before, after in zip(records, baselines, networks, trained, strict=True):
        lost = after.descent.diverged is not None
        record |= {
            "learning_rate": baseline.learning_rate,
            "widths": "-".join(map(str, before.widths)),
            "iterations": baseline.iterations,
            "cost": after.descent.costs[-1],
            "diverged": after.descent.diverged,
            "units": sum(before.widths[1:]),
            **measure(None if lost else after.network, problem),
        }
    if done is not None and checkpoint is not None:
        body = {"key": key, "records": records}
        storage.write_text(done, tables.json_text(tables.json_ready(body)))
        checkpoint.unlink(missing_ok=True)
        return _read(done, key) or records  # as the next call will have them
    return records


def _read(path: Path, key: str) -> list[dict[str, Any]] | None:
    """What was kept; None where there is nothing, where it is damaged, or of another training."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        records: list[dict[str, Any]] | None = body["records"] if body["key"] == key else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return records
