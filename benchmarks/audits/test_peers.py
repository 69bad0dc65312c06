"""A whole audit beside other ways to such numbers, on the same model and the same batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import neurocensus as nc
from benchmarks.audits.checks import assert_audited, forward, require
from benchmarks.harness.recorder import Recorder
from benchmarks.peers.counter import Statistics, assert_agree
from benchmarks.peers.on_models import PEERS, HasForward
from benchmarks.workloads.networks import NETWORKS
from benchmarks.workloads.sizes import THREADS, size

MODELS = ("VGG-16 at 150", "transformer MLPs", "sparse auto-encoder")
SET_UP_SLOWLY = ("torch.compile", "TorchLens", "ONNX Runtime calibrator", "ONNX Runtime histogram calibrator")
"""Of these the short form runs one model."""
OTHER_KERNELS = 1e-4
"""How far the activations of ONNX Runtime's convolutions and products may be from torch's, relatively."""


def cases() -> Iterator[tuple[str, str]]:
    for peer in PEERS:
        models: tuple[str, ...] = MODELS
        if peer in SET_UP_SLOWLY:
            models = size(MODELS, ("sparse auto-encoder",))
        if peer == "TorchLens, its own statistic":  # it does the same work everywhere
            models = size(("VGG-16 at 150",), ("sparse auto-encoder",))
        for network in models:
            yield network, peer


@pytest.mark.benchmark(group="beside peers, on models")
@pytest.mark.parametrize(("network", "peer"), list(cases()))
def test_peer(record: Recorder, network: str, peer: str) -> None:
    """A call of `nc.audit`, with its set-up, beside a peer that is set up before (traced, compiled)."""
    other, workload = PEERS[peer], NETWORKS[network]
    require(other.packages)
    model, batches = workload.model(), workload.batches(2)

    def audit() -> nc.Audit:
        return nc.audit(model, batches, histogram=other.histogram, progress=False, threads=THREADS)

    found = audit()
    way = other.make(model, {name: layer.unit_axis for name, layer in found.layers.items()}, batches[0])
    _assert_agree(way(batches), found, other.exact)
    ways = {"audit": audit, "plain forward": lambda: forward(model, batches), peer: lambda: way(batches)}
    if isinstance(way, HasForward):
        ways["its own forward"] = lambda: way.forward(batches)
    turns = record.turns(ways, rounds=3, warmup=0)  # all have run already: the forward is in them
    assert_audited(audit(), model, batches)
    record.ratio("times the plain forward", turns.ratio("audit", "plain forward"), better="lower")
    record.ratio(f"times faster than {peer}", turns.ratio(peer, "audit"), better="higher")
    record.note(
        forward_ms=1e3 * turns.median("plain forward"),
        extra_ms=1e3 * turns.extra("audit", "plain forward"),
        peer_extra_ms=1e3 * turns.extra(peer, "plain forward"),
        peer_times_the_forward=turns.ratio(peer, "plain forward").median,
        peer_computes=other.computes,
    )
    if isinstance(way, HasForward):
        record.note(peer_times_its_own_forward=turns.ratio(peer, "its own forward").median)


def _assert_agree(found: Any, audit: nc.Audit, exact: bool) -> None:
    assert set(found) == set(audit.layers)
    for name, layer in audit.layers.items():
        statistics: Statistics = found[name]
        assert_agree(statistics, layer.state, at_least=0.0 if exact else OTHER_KERNELS)
