"""How equal is equal: everything exactly, moments within the one table of budgets."""

from __future__ import annotations

import numpy as np

from neurocensus import UnitState, reference

EXACT = (
    "examples", "values", "next_example", "nonzero", "active_examples",
    "max", "min", "argmax", "nan", "inf",
)  # fmt: skip

# Moments of float32, float16 and bfloat16 values are summed in float32 over tiles of at most 4096 values
# and in float64 over tiles. Relative to: mean magnitude plus standard deviation (mean), the mean magnitude
# (mean_abs), m2 itself (m2).
BUDGET = {"mean": 5e-6, "mean_abs": 1e-5, "m2": 3e-5}


def assert_same(state: UnitState, wanted: reference.Census | UnitState) -> None:
    for name in EXACT:
        np.testing.assert_array_equal(getattr(state, name), getattr(wanted, name), err_msg=name)
    if state.histogram is not None:
        np.testing.assert_array_equal(state.histogram, wanted.histogram, err_msg="histogram")
    np.testing.assert_array_equal(state.dead, wanted.dead, err_msg="dead")
    # Sums of values near the end of float64 overflow in the definition too.
    scale = wanted.mean_abs + np.abs(wanted.mean)
    spread = np.sqrt(wanted.m2 / np.maximum(wanted.finite, 1))
    for name, unit in (("mean", scale + spread), ("mean_abs", scale), ("m2", wanted.m2)):
        got, want = getattr(state, name), getattr(wanted, name)
        # Beneath the rounding of float64 itself, nothing is asked of m2.
        floor = wanted.finite * (scale * 1e-15) ** 2 if name == "m2" else 0.0
        error = np.abs(got - want)
        worst = np.max(error - BUDGET[name] * unit - floor, initial=0.0)
        assert worst <= 0, f"{name}: beyond its budget by {worst}: {got} for {want}"
