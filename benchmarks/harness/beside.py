"""neurocensus beside every peer: who is how many times faster, and why a peer that is faster is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.harness import report
from benchmarks.harness.ratios import Ratio
from benchmarks.harness.runs import Benchmark

GROUPS: Final = ("beside peers, on buffers", "beside peers, on models")
"""The groups of benchmarks in which each ratio called "times faster than ..." names a peer."""

_BUFFERS, _MODELS = GROUPS
_OTHER_FORWARD: Final = (
    "it does not run the model in torch: the runtime's own matrix products take about half of torch's time "
    "on this machine. Extrema cost it little beside them, histograms as much again."
)
WHY_FASTER: Final[Mapping[tuple[str, str, str], str]] = {
    (_BUFFERS, "torch.compile", "many_units, float32"): (
        "with 4 examples it is the state that goes through memory, not the activations: 80 bytes of a unit "
        "here (ten statistics of 64 bits, read and written), 24 there (five, most of 32)."
    ),
    (_BUFFERS, "published range and spectrum", "many_units, float32"): (
        "it takes one maximum over four numbers and keeps nothing else; here 737 MB of state are read and "
        "written for them."
    ),
    (_MODELS, "ONNX Runtime calibrator", "transformer MLPs"): _OTHER_FORWARD,
    (_MODELS, "ONNX Runtime calibrator", "sparse auto-encoder"): _OTHER_FORWARD,
    (_MODELS, "ONNX Runtime histogram calibrator", "transformer MLPs"): _OTHER_FORWARD,
    (_MODELS, "ONNX Runtime histogram calibrator", "sparse auto-encoder"): _OTHER_FORWARD,
}
"""Why a peer is faster, by group, peer and workload. One that is and has no entry stops the document."""


@dataclass(frozen=True)
class Beside:
    """One group: its workloads and its peers."""

    group: str
    peers: Sequence[str]
    rows: Mapping[str, Mapping[str, Ratio]]
    """How many times faster than each peer neurocensus was, by workload and peer."""
    computes: Mapping[str, str]
    """What each peer computes, as its benchmarks note it."""

    @classmethod
    def of(cls, group: str, members: Iterable[Benchmark]) -> Beside:
        """From the benchmarks of the group.

        Raises:
            ValueError: two benchmarks give one ratio for the same workload and peer.
        """
        members = list(members)
        found = [
            (one, name.removeprefix(report.FASTER), stored.ratio)
            for one in members
            for name, stored in one.ratios.items()
            if name.startswith(report.FASTER)
        ]
        peers = report.unique(peer for _, peer, _ in found)
        has_dtype = any("dtype" in one.params for one in members)
        rows: dict[str, dict[str, Ratio]] = {}
        computes: dict[str, list[str]] = {}
        for one, peer, ratio in found:
            row = rows.setdefault(_workload(one.params, peers, has_dtype), {})
            if peer in row:
                raise ValueError(f"{one.full_name}: a second ratio for {peer!r} and the same workload")
            row[peer] = ratio
            if "peer_computes" in one.notes:
                computes.setdefault(peer, []).append(str(one.notes["peer_computes"]))
        said = {peer: "; or ".join(report.unique(texts)) for peer, texts in computes.items()}
        return cls(group, peers, rows, said)

    @property
    def faster(self) -> list[tuple[str, str]]:
        """The peers that are faster somewhere, with the workload."""
        return [
            (peer, workload)
            for peer in self.peers
            for workload, row in self.rows.items()
            if peer in row and _is_faster(row[peer])
        ]

    def table(self) -> list[str]:
        """A row per peer, a column per workload: how many times faster neurocensus is.

        A peer that is faster is marked.
        """
        return report.table(
            ["times faster than", *self.rows],
            [
                [peer, *(_cell(row[peer]) if peer in row else "" for row in self.rows.values())]
                for peer in self.peers
            ],
        )

    def peers_table(self) -> list[str]:
        """What each peer computes."""
        return report.table(["peer", "what it computes"], self.computes.items())

    def notes(self, why: Mapping[tuple[str, str, str], str] = WHY_FASTER) -> list[str]:
        """Why the peers that are faster are, as a list.

        Raises:
            ValueError: for one of them nobody has said why.
        """
        if missing := [pair for pair in self.faster if (self.group, *pair) not in why]:
            raise ValueError(
                f"WHY_FASTER: expected a note for each peer and workload where it is faster, got none for "
                f"{missing} in the group {self.group!r}; write it in benchmarks/harness/beside.py"
            )
        told: dict[str, list[str]] = {}
        for peer, workload in self.faster:
            told.setdefault(why[self.group, peer, workload], []).append(f"**{peer}** ({workload})")
        return [f"- {', '.join(places)}: {text}" for text, places in told.items()]


def _workload(params: Mapping[str, Any], peers: Sequence[str], has_dtype: bool) -> str:
    """Parameters but for the peer as words: "rows, float32". Where others have a dtype, none is float32."""
    if has_dtype:
        params = {**params, "dtype": params.get("dtype", "float32")}
    words = (report.spoken(key, value) for key, value in params.items() if value not in peers)
    return ", ".join(filter(None, words))


def _is_faster(ratio: Ratio) -> bool:
    return ratio.median < 1


def _cell(ratio: Ratio) -> str:
    median = report.number(ratio.median)
    spread = f"<br><sub>{report.number(ratio.low)} to {report.number(ratio.high)}</sub>"
    return (f"**{median}: peer is faster**" if _is_faster(ratio) else median) + spread
