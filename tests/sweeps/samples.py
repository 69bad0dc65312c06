"""Records of sweeps as real ones are: cheap to make, with what goes wrong in them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from neurocensus.sweeps.records import MEASURES

SIZES = {"train": (72, 137), "test": (33, 17)}
"""Positive and negative examples of cat / non-cat."""
LAYERS = ("cat.hidden1", "cat.hidden2", "hidden1", "output")


def measures(part: str, tpr: float, fpr: float) -> dict[str, float]:
    """The ten metrics of a part at about these rates, by their definitions; NaN where one is undefined."""
    positive, negative = SIZES[part]
    tp, fp = round(tpr * positive), round(fpr * negative)
    fn, tn, total = positive - tp, negative - fp, positive + negative
    accuracy = (tp + tn) / total
    chance = ((tp + fp) * positive + (fn + tn) * negative) / total**2
    values = (
        accuracy, 1 - accuracy, tp / positive, fp / negative, tn / negative,
        tp / (tp + fp) if tp + fp else math.nan, positive / total, min(positive, negative) / total,
        (accuracy - chance) / (1 - chance), 2 * tp / (2 * tp + fp + fn),
    )  # fmt: skip
    return {f"{part}_{key}": value for key, value in zip(MEASURES, values, strict=False)}


def record(
    value: float = 20,
    *,
    network: str = "cat",
    sweep: str = "hidden1",
    tpr: float = 0.8,
    dead: int = 3,
    **more: Any,
) -> dict[str, Any]:
    """One trained network."""
    out: dict[str, Any] = {
        "network": network, "sweep": sweep, "value": value,
        "learning_rate": value if sweep == "learning_rate" else 0.0075, "widths": "12288-20-7-5-1",
        "iterations": 2500, "cost": 0.1, "diverged": None, "units": 33,
    }  # fmt: skip
    for part, better in (("train", 0.1), ("test", 0.0)):
        out |= measures(part, min(tpr + better, 1), 0.3 * (tpr > 0))
        out |= {f"{part}_nnu": dead / 33, f"{part}_dead": dead}
    return {**out, **more}


def diverged(value: float, iteration: int = 120, **more: Any) -> dict[str, Any]:
    """A network without any measures."""
    out = record(value, **more)
    nothing = {f"{part}_{measure}": math.nan for part in SIZES for measure in MEASURES}
    return {**out, **nothing, "cost": math.inf, "diverged": iteration}


def sweep(
    network: str = "cat", name: str = "hidden1", count: int = 12, seed: int = 0
) -> list[dict[str, Any]]:
    """As real sweeps go: high learning rates leave all units dead, or diverge; narrow layers do worse."""
    random = np.random.default_rng(seed)
    rates = name == "learning_rate"
    values = np.logspace(-4, 0, count, endpoint=False) if rates else np.arange(1.0, count + 1)
    out = []
    for value in values.tolist():
        lost = rates and value > 0.03
        tpr = 0.0 if lost else min(0.5 + 0.4 * random.random() + 0.01 * value, 1.0)
        kind = diverged if rates and value > 0.4 else record
        out.append(
            kind(value, network=network, sweep=name, tpr=tpr, dead=32 if lost else int(random.integers(8)))
        )
    return out


def study(networks: tuple[str, ...] = ("cat", "dog", "cat to dog"), count: int = 12) -> list[dict[str, Any]]:
    """Four sweeps of each network."""
    return [
        row
        for seed, (network, name) in enumerate(
            itertools.product(networks, ("learning_rate", "hidden1", "hidden2", "hidden3"))
        )
        for row in sweep(network, name, count, seed)
    ]


def freezing(layers: tuple[str, ...] = LAYERS, seed: int = 0) -> list[dict[str, Any]]:
    """Every subset of frozen layers; freezing the last one hurts."""
    random = np.random.default_rng(seed)
    subsets = itertools.chain.from_iterable(itertools.combinations(layers, k) for k in range(len(layers) + 1))
    return [
        record(
            network="cat to dog", sweep="frozen", frozen=frozen, layers=layers, dead=int(random.integers(12)),
            tpr=0.5 + 0.4 * random.random() - 0.3 * (layers[-1] in frozen),
        )
        for frozen in subsets
    ]  # fmt: skip
