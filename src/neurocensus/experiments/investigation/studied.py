"""One network, trained from scratch in NumPy and looked at from all sides."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import storage, tables
from ...assessment.confusion import Confusion, confusion
from ...data import Pair
from ...explain import ResponseRecorder, Responses, TopExamples, top_examples
from ...merging import join
from ...result import Audit
from ...scratch import Descent, Network, audit, fit
from ...sweeps.plan import Baseline
from ...sweeps.problem import Problem
from ...sweeps.together import fingerprint

RECORDS = 25
"""Times that the units' answers are recorded, beside the start."""
TOP = 9
"""Inputs that activate a unit most."""


@dataclass(frozen=True)
class Studied:
    """A baseline network after training."""

    name: str
    pair: Pair
    network: Network
    descent: Descent
    audit: Audit
    """Over the test images."""
    whole: Audit
    """Over the training and the test images."""
    confusions: Mapping[str, Confusion]
    """Of "train" and "test"."""
    top: TopExamples
    """Among the training images."""
    responses: Responses
    """To all images, those to train with first, from before training to its end."""


def study(
    baseline: Baseline, pair: Pair, problem: Problem, folder: Path, *, on_start: Callable[[str], None]
) -> Studied:
    """Train the baseline, or take what the folder has, and look at it.

    Args:
        on_start: told in words that the training begins, if it does.

    `folder` gets ``network.safetensors``, ``responses.safetensors``, ``audit.safetensors``,
    ``top.safetensors`` and, last, ``training.json``.
    """
    network = baseline.build()
    key = fingerprint(
        [network], *problem.train, *problem.test, baseline.learning_rate, baseline.iterations,
        baseline.name, pair.train.classes,
    )  # fmt: skip
    found = _read(folder, key)
    if found is None:
        on_start(f"{baseline.name}: training the network from scratch")
        descent, responses = _train(baseline, network, pair, problem)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "training.json").unlink(missing_ok=True)  # an older one would vouch for newer files
        network.save(folder / "network.safetensors")
        responses.save(folder / "responses.safetensors")
        body = {
            "key": key,
            "iterations": descent.iterations,
            "costs": descent.costs,
            "diverged": descent.diverged,
        }
        storage.write_text(folder / "training.json", tables.json_text(tables.json_ready(body)))
    else:
        network, descent, responses = found
    trained, census = (audit(network, x, model=baseline.name, histogram=True) for x, _ in problem)
    confusions = {
        part: confusion(y.astype(int), network.predict(x))
        for part, (x, y) in zip(("train", "test"), problem, strict=True)
    }
    census.annotations = {"accuracy": confusions["test"].accuracy}
    top = top_examples(network, [problem.train.x], TOP, progress=False)
    census.save(folder / "audit.safetensors")
    top.save(folder / "top.safetensors")
    return Studied(
        baseline.name, pair, network, descent, census, join(trained, census), confusions, top, responses
    )


def _train(baseline: Baseline, network: Network, pair: Pair, problem: Problem) -> tuple[Descent, Responses]:
    names = [
        f"{part} {examples.classes[label]} {index}"
        for part, examples in (("training", pair.train), ("test", pair.test))
        for index, label in enumerate(examples.labels.tolist())
    ]
    recorder = ResponseRecorder(network, np.concatenate([x for x, _ in problem]), names=names)
    descent = fit(
        network,
        *problem.train,
        learning_rate=baseline.learning_rate,
        iterations=baseline.iterations,
        record_every=max(1, baseline.iterations // RECORDS),
        on_record=lambda iteration, _: recorder.record(iteration),
    )
    return descent, recorder.responses()


def _read(folder: Path, key: str) -> tuple[Network, Descent, Responses] | None:
    """What was kept; None where there is nothing, where it is damaged, or of another training."""
    try:
        body: dict[str, Any] = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        if body["key"] != key:
            return None
        descent = Descent(tuple(body["iterations"]), tuple(body["costs"]), body["diverged"])
        return (
            Network.load(folder / "network.safetensors"),
            descent,
            Responses.load(folder / "responses.safetensors"),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
