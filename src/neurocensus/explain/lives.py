"""The lives of units over a training: born dead, died, revived, or alive all along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from .. import sheets, text
from ..arguments import integer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..result import Audit

Status: TypeAlias = Literal["alive", "born dead", "died", "revived"]
Steps = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

STATUSES: Final[tuple[Status, ...]] = get_args(Status)


@dataclass(frozen=True)
class Life:
    """One unit's life, as far as it was recorded."""

    unit: int
    status: Status
    """At the last record. "born dead": dead in all records. "died": dead, and alive in one before. "revived":
    alive, and dead in one before. "alive": never dead."""
    deaths: tuple[int, ...] = ()
    """Steps where it was dead, and alive in the record before."""
    revivals: tuple[int, ...] = ()
    """Steps where it was not dead, and dead in the record before."""


@dataclass(frozen=True, eq=False, repr=False)
class Lives:
    """When each unit of one layer was dead. What happened between two records is not known.

    Args:
        steps: of the training, one per record, ascending; integers (S,).
        dead: whether each unit was dead then; bool (S, units). One that is not dead counts as alive, also if
            no value of it was seen.

    Raises:
        TypeError: another dtype.
        ValueError: no record, steps that do not ascend from 0 or more, shapes that do not fit.
    """

    steps: Steps
    dead: Mask

    def __post_init__(self) -> None:
        steps, dead = ascending(self.steps), np.asarray(self.dead)
        if dead.dtype != np.bool_:
            raise TypeError(f"dead: expected bool, got {dead.dtype}; use dead != 0")
        if dead.ndim != 2 or len(dead) != len(steps) or not dead.shape[1]:
            raise ValueError(
                f"dead: expected shape ({len(steps)}, units), with at least one unit, got {dead.shape}"
            )
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "dead", dead)

    @property
    def units(self) -> int:
        """Number of units."""
        return int(self.dead.shape[1])

    @cached_property
    def statuses(self) -> npt.NDArray[np.int8]:
        """The status of each unit as its position in `STATUSES`, shape (units,)."""
        ever, always, last = self.dead.any(axis=0), self.dead.all(axis=0), self.dead[-1]
        names: list[Status] = ["born dead", "died", "revived"]
        found = np.select([always, last, ever], [STATUSES.index(name) for name in names], 0)
        return found.astype(np.int8)

    @cached_property
    def lives(self) -> tuple[Life, ...]:
        """The life of each unit, in their order."""
        later, change = self.steps[1:], np.diff(self.dead.astype(np.int8), axis=0)
        return tuple(
            Life(
                unit,
                STATUSES[status],
                deaths=tuple(later[change[:, unit] > 0].tolist()),
                revivals=tuple(later[change[:, unit] < 0].tolist()),
            )
            for unit, status in enumerate(self.statuses)
        )

    def counts(self) -> dict[str, int]:
        """How many units there are of each status."""
        return {name: int(np.count_nonzero(self.statuses == k)) for k, name in enumerate(STATUSES)}

    def __repr__(self) -> str:
        kinds = ", ".join(f"{number} {status}" for status, number in self.counts().items() if number)
        return f"<Lives of {text.plural(self.units, 'unit')} over {len(self.steps)} records: {kinds}>"


def lives_of(audits: Mapping[int, Audit]) -> dict[str, Lives]:
    """The lives of all units over a whole data set, from audits of one model at several steps.

    Args:
        audits: by the step of the training at which each was made, such as the files that
            `neurocensus.training.AuditEvery` leaves.

    Returns:
        By layer, in network order.

    Raises:
        TypeError: no mapping of steps to audits.
        ValueError: no audit, or audits that cannot be compared: of another model, other layers or units,
            another number of examples or another threshold.
    """
    from ..result import Audit

    if not isinstance(audits, Mapping):
        raise TypeError(f"audits: expected a mapping of steps to audits, got {type(audits).__name__}")
    for step, audit in audits.items():
        integer("audits: step", step, 0)
        if not isinstance(audit, Audit):
            raise TypeError(
                f"audits[{step}]: expected an Audit, got {type(audit).__name__}; a path is loaded with "
                "neurocensus.load"
            )
    if not audits:
        raise ValueError("audits: expected at least one, got none")
    ordered = dict(sorted(audits.items()))
    first, one = next(iter(ordered.items()))
    for step, audit in ordered.items():
        _check_alike(first, one, step, audit)
    return {
        name: Lives(
            np.array(list(ordered), np.int64),
            np.stack([audit.layers[name].state.dead for audit in ordered.values()]),
        )
        for name in one.layers
    }


def lives_sheet(lives: Mapping[str, Lives]) -> sheets.Sheet:
    """A table of how many units of each layer lived how.

    Args:
        lives: by layer: of `Responses.lives` or `lives_of`.

    Raises:
        ValueError: there is no layer.
    """
    if not lives:
        raise ValueError("lives: expected at least one layer, got none")
    records = [_record(name, layer) for name, layer in lives.items()]
    numbers = ("units", *STATUSES)
    last = max(int(layer.steps[-1]) for layer in lives.values())
    dead = sum(int(layer.dead[-1].sum()) for layer in lives.values())
    units = sum(layer.units for layer in lives.values())
    return sheets.Sheet(
        name="lives",
        title="Lives of units",
        columns=[
            sheets.Column("layer", sheets.field("layer"), left=True),
            *(sheets.Column(key, sheets.field(key, text.count)) for key in numbers),
            sheets.Column("first death", sheets.field("first_death", text.count)),
            sheets.Column("last revival", sheets.field("last_revival", text.count)),
        ],
        records=records,
        notes=[
            f"{text.count(dead)} of {text.plural(units, 'unit')} are dead at step {text.count(last)}",
            "born dead: in all records; died: dead now and alive before; revived: alive now and dead before",
        ],
    )


def plot_lives(lives: Mapping[str, Lives]) -> Figure:
    """Draw when each unit was dead: see `neurocensus.plots.lives.plot_lives`."""
    from ..plots.lives import plot_lives as plot

    return plot(lives)


def ascending(steps: Any) -> Steps:
    """Steps of a training as an array, int64 (S,).

    Raises:
        TypeError: no integers.
        ValueError: none, not in ascending order, or negative.
    """
    found = np.asarray(steps)
    if found.size and found.dtype.kind not in "iu":
        raise TypeError(f"steps: expected integers, got {found.dtype}")
    if found.ndim != 1 or not len(found):
        raise ValueError(f"steps: expected at least one, in one dimension, got shape {found.shape}")
    if found[0] < 0 or (found[1:] <= found[:-1]).any():
        raise ValueError(f"steps: expected them from 0 on, each above the one before, got {found.tolist()}")
    return found.astype(np.int64)


def _record(name: str, layer: Lives) -> dict[str, Any]:
    deaths = [step for life in layer.lives for step in life.deaths]
    revivals = [step for life in layer.lives for step in life.revivals]
    return {
        "layer": name,
        "units": layer.units,
        **layer.counts(),
        "first_death": min(deaths, default=None),
        "last_revival": max(revivals, default=None),
    }


def _check_alike(first: int, one: Audit, step: int, other: Audit) -> None:
    for what, expected, got in (
        ("model", one.model, other.model),
        ("threshold", one.threshold, other.threshold),
        ("number of examples", one.examples, other.examples),
        ("layers", list(one.layers), list(other.layers)),
        ("units", *([layer.units for layer in audit.layers.values()] for audit in (one, other))),
    ):
        if expected != got:
            raise ValueError(
                f"audits[{step}]: expected the {what} of audits[{first}], {expected!r}, got {got!r}; lives "
                "are told from audits of one model over the same data"
            )
