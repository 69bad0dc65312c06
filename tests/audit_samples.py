"""Audits to test with. Run as a script, it writes the golden file of the current format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neurocensus.result import Audit, LayerAudit
from neurocensus.state import UnitState
from neurocensus.storage import FORMAT_VERSION

GOLDEN = Path(__file__).parent / "golden"
NASTY_NAMES = (
    "<script>alert(1)</script>",
    'a,b\n"c"',
    "$\\frac$ _x_ $",
    "[red]x[/red]",
    "\x1b[31m",
    "层.ñ/..",
    "",
)


_TOLD = ("model", "examples", "batches", "expected", "never_fired", "threshold")
_TOLD_OF_LAYERS = (
    "name", "kind", "unit_axis", "unit_rule", "example_axis", "dtype", "training", "calls", "masked",
)  # fmt: skip


def assert_told_alike(found: Audit, expected: Audit, *more: str) -> None:
    """The same audits but for what is counted per unit; `more`: attributes of audits to compare too."""
    for field in (*_TOLD, *more):
        assert getattr(found, field) == getattr(expected, field), field
    assert list(found.layers) == list(expected.layers)
    for name, layer in found.layers.items():
        for field in _TOLD_OF_LAYERS:
            assert getattr(layer, field) == getattr(expected.layers[name], field), (name, field)


def layer_audit(name: str, state: UnitState, **changes: Any) -> LayerAudit:
    fields: dict[str, Any] = {
        "kind": "ReLU", "unit_axis": 1, "unit_rule": "axis 1: after a convolution", "example_axis": 0,
        "dtype": "float32", "training": False, "calls": 1,
    }  # fmt: skip
    return LayerAudit(name=name, state=state, **{**fields, **changes})


def audit_of(
    arrays: dict[str, Any], *, threshold: float = 0.0, histogram: bool = False, **changes: Any
) -> Audit:
    """An audit of activations of shape (examples, units, *positions), by layer name."""
    layers = {}
    for name, array in arrays.items():
        array = np.asarray(array, np.float64)
        state = UnitState(array.shape[1], threshold=threshold, histogram=histogram)
        layers[name] = layer_audit(name, state.update(array))
    examples = max((len(array) for array in arrays.values()), default=0)
    fields: dict[str, Any] = {"model": "Net", "examples": examples, "batches": 1, "threshold": threshold}
    return Audit(layers, **{**fields, **changes})


def relu_arrays(layers: int, *, units: int = 8, examples: int = 12, seed: int = 0) -> dict[str, Any]:
    """Realistic activations: rectified noise, with a fifth of the units dead after the first layer."""
    random = np.random.default_rng(seed)
    arrays = {}
    for index in range(layers):
        array = np.maximum(random.normal(0, 1 + index / 10, (examples, units)), 0)
        array[:, 1:][:, random.random(units - 1) < (0.2 if index else 0)] = 0
        arrays[f"backbone.stage{index // 8}.block{index % 8}.bottleneck.activation.relu"] = array
    return arrays


def golden_audit() -> Audit:
    """Everything the format can hold, in numbers that any arithmetic gets exactly."""
    a = UnitState(4, histogram=True)
    a.update(np.array([[0.0, 1.0, -2.0, np.nan], [0.0, 3.0, 0.5, np.inf]]))
    b = UnitState(2, histogram=False)  # nothing seen
    return Audit(
        {
            "features.0": layer_audit("features.0", a, kind="Conv2d", calls=2, masked=True),
            "<b>ö</b>": layer_audit("<b>ö</b>", b, training=True, dtype="bfloat16"),
        },
        model="Golden", examples=2, batches=1, expected=["features.0", "<b>ö</b>", "fc"], never_fired=["fc"],
        versions={"neurocensus": "0.1.0"}, annotations={"accuracy": 0.75, "seed": 7, "ok": True, "who": "me"},
    )  # fmt: skip


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    golden_audit().save(GOLDEN / f"audit-v{FORMAT_VERSION}.safetensors")
