"""`UnitState.update` beside a plain read of the same buffer, by the same threads.

Streaming: the state has seen such values before, as in all but the first batch of an audit. First call: a
fresh state, in which new maxima are frequent.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

import pytest

from benchmarks.harness.recorder import Recorder
from benchmarks.workloads.buffers import FEATURE_MAPS_AND_DENSE, LAYOUTS, assert_counted, buffer
from benchmarks.workloads.sizes import THREADS
from neurocensus import UnitState, _core


def cases() -> Iterator[object]:
    """All layouts and dtypes, with and without the histogram; more of what targets are set for.

    Gated: streaming float32 and bfloat16 on all threads, of each layout.
    """
    for layout in LAYOUTS:
        targeted = layout in FEATURE_MAPS_AND_DENSE
        for dtype in ("float32", "bfloat16", "float16", "float64") if targeted else ("float32", "bfloat16"):
            half = partial(pytest.param, layout, dtype, "half-normal")
            for histogram in (False, True) if layout != "many_units" else (False,):
                gated = pytest.mark.gated if dtype in ("float32", "bfloat16") else ()
                yield half(histogram, "streaming", THREADS, marks=gated)
                if dtype in ("float32", "bfloat16"):
                    yield half(histogram, "streaming", 1)
                if dtype == "float32" and (targeted or layout == "many_units"):
                    yield half(histogram, "first call", THREADS)
            if dtype == "float32" and targeted:
                for histogram, state in product((False, True), ("streaming", "first call")):
                    yield pytest.param(layout, dtype, "normal", histogram, state, THREADS)


@pytest.mark.benchmark(group="update")
@pytest.mark.parametrize(("layout", "dtype", "values", "histogram", "state", "threads"), list(cases()))
def test_update(
    record: Recorder, layout: str, dtype: str, values: str, histogram: bool, state: str, threads: int
) -> None:
    """The read is of the activations. Where units are many and examples few, the state is larger."""
    tensor, axis = buffer(layout, dtype, values), LAYOUTS[layout].unit_axis
    address, floats = tensor.data_ptr(), tensor.nbytes // 4
    if dtype == "float32":  # the read is of bytes; only these are its own dtype
        assert _core.plain_max(address, floats, threads) == tensor.max().item()
    used = UnitState(tensor.shape[axis], histogram=histogram).update(tensor, axis)

    def a_state() -> tuple[UnitState]:
        nonlocal used
        if state == "first call":
            used = UnitState(tensor.shape[axis], histogram=histogram)
        return (used,)

    turns = record.turns(
        {
            "update": lambda used: used.update(tensor, axis, threads=threads),
            "plain read": lambda: _core.plain_max(address, floats, threads),
        },
        prepare=a_state,
        rounds=40 if layout in FEATURE_MAPS_AND_DENSE else 15,
    )
    assert_counted(used, tensor, axis)
    held = layout in FEATURE_MAPS_AND_DENSE and (dtype, state, threads) == ("float32", "streaming", THREADS)
    target = f"{layout} with histogram" if histogram else layout
    record.ratio(
        "share of plain read",
        turns.ratio("plain read", "update"),
        better="higher",
        target=target if held else None,
    )
    record.note(
        gb_per_s=tensor.nbytes / turns.median("update") / 1e9,
        plain_read_gb_per_s=tensor.nbytes / turns.median("plain read") / 1e9,
    )
