"""What the user chooses, and the networks that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

from ...arguments import integer
from ...data import Pair
from ...scratch import Network
from ...sweeps.plan import Baseline
from ...sweeps.problem import Problem
from ...text import file_name

TITLE: Final = "Investigation: sweeps, transfer and single units of networks from scratch"
SWEEPS: Final = "sweeps"
FREEZING: Final = "freezing"
FROZEN_SWEEPS: Final = "frozen-sweeps"
PARTS: Final = (SWEEPS, FREEZING, FROZEN_SWEEPS)
"""What can be left out. The three networks themselves are always trained and looked at."""
ITERATIONS: Final = 2500
MOST_LETTERS: Final = 100
"""Of a network's name in those of files, which disks limit to 255 bytes."""


@dataclass(frozen=True)
class Setup:
    """The data and the scale; the defaults are as published.

    Args:
        source: many images of one class and of the rest: cats.
        target: few of another, of the same size: dogs.
        scale: share of the values of each sweep and of the iterations, above 0 and at most 1.
        only: some of `PARTS`; None: all of them.
        iterations: instead of scale x 2500.
        seed: of the initial weights.
        dtype: of the sweeps, "float64" or "float32".
        device: where the sweeps run, as torch names it.
        threads: of the CPU; None: as torch chooses.

    Raises:
        TypeError, ValueError: a scale out of range, an unknown part, images of unequal size, two classes of
            one name.
    """

    source: Pair
    target: Pair
    scale: float = 1.0
    only: tuple[str, ...] | None = None
    iterations: int | None = None
    seed: int = 1
    dtype: str = "float64"
    device: str = "cpu"
    threads: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise ValueError(
                f"scale: expected a share above 0 and at most 1, got {self.scale}; 1 is 50 values a sweep "
                f"and {ITERATIONS} iterations"
            )
        unknown = [name for name in self.only or () if name not in PARTS]
        if unknown or self.only == ():
            raise ValueError(
                f"only: no part {', '.join(map(repr, unknown or ['']))}; there are {', '.join(PARTS)}"
            )
        for name, least in (("iterations", 1), ("seed", 0), ("threads", 1)):
            value = getattr(self, name)
            if value is not None:
                integer(name, value, least)
        sizes = [pair.train.inputs.shape[1:] for pair in (self.source, self.target)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"target: expected images of the source's size, {sizes[0]}, got {sizes[1]}; a network's "
                "inputs are the pixels"
            )
        self._check_names()

    def _check_names(self) -> None:
        """Each network has files of its own, on any disk."""
        files = {file_name(name).casefold() for name in self.names}
        if len(files) < len(self.names):
            raise ValueError(
                "target: expected a class whose name, as part of a file's, differs from the source's, got "
                f"{self.names[1]!r} and {self.names[0]!r}; rename one"
            )
        if max(map(len, files)) > MOST_LETTERS:
            raise ValueError(
                f"source, target: expected classes of {MOST_LETTERS // 2} letters at most, got names that "
                f"make files of {max(map(len, files))}; rename them"
            )

    @property
    def names(self) -> tuple[str, str, str]:
        """Of the networks: "cat", "dog", "cat to dog"."""
        source, target = self.source.train.classes[1], self.target.train.classes[1]
        return source, target, f"{source} to {target}"

    @property
    def updates(self) -> int:
        """Iterations of each training."""
        return self.iterations or max(1, round(ITERATIONS * self.scale))

    def wants(self, part: str) -> bool:
        """Is this part to be run?"""
        return self.only is None or part in self.only

    def problems(self) -> dict[str, Problem]:
        """What each network is trained and judged on."""
        source, target = Problem.of(self.source), Problem.of(self.target)
        return dict(zip(self.names, (source, target, target), strict=True))

    def baseline(self, name: str, inputs: int, source: Network | None = None) -> Baseline:
        """The published one, under this name."""
        return Baseline(name, inputs, iterations=self.updates, seed=self.seed, source=source)

    def facts(self) -> list[tuple[str, str]]:
        """Labels and values, for a report."""
        images = {"source": self.source, "target": self.target}
        out = [(label, _described(pair)) for label, pair in images.items()]
        out += [(f"{label} fingerprint", pair.train.fingerprint[:16]) for label, pair in images.items()]
        out += [("scale", f"{self.scale:g}"), ("iterations", str(self.updates)), ("seed", str(self.seed))]
        out += [("dtype of the sweeps", self.dtype), ("device of the sweeps", self.device)]
        return out


def _described(pair: Pair) -> str:
    height, width = pair.train.inputs.shape[1:3]
    parts = [
        f"{len(part)} {name} images ({int(part.labels.sum())} {part.classes[1]})"
        for name, part in (("training", pair.train), ("test", pair.test))
    ]
    return f"{pair.train.classes[1]}: {', '.join(parts)}, {height} x {width} pixels"


def variants(baseline: Baseline) -> dict[str, frozenset[str]]:
    """What to freeze in the sweeps: every subset of the new hidden layers, with the source's or not.

    Args:
        baseline: with a source.

    Returns:
        Frozen layers under names such as "nothing" and "source, new 2"; "nothing" first.
    """
    names = baseline.build().layer_names[:-1]
    new = len(baseline.hidden)
    old, fresh = names[:-new], names[-new:]
    out = {}
    for first in ((), old):
        for count in range(new + 1):
            for chosen in combinations(range(new), count):
                parts = ["source"] * bool(first) + [f"new {index + 1}" for index in chosen]
                out[", ".join(parts) or "nothing"] = frozenset((*first, *(fresh[index] for index in chosen)))
    return out
