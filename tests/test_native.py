"""The compiled core as a module: which instruction set runs, and counters that do not run out."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from neurocensus import UnitState, _core, reference, state

COUNT = (
    "import numpy as np, neurocensus as nc\n"
    "from neurocensus import _core\n"
    "state = nc.UnitState(3).update(np.ones((2, 3), np.float32))\n"
    "print(_core.instruction_set(), state.nonzero.tolist())\n"
)


def run(instruction_set: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "NEUROCENSUS_SIMD"}
    if instruction_set is not None:
        environment["NEUROCENSUS_SIMD"] = instruction_set
    command = [sys.executable, "-c", COUNT]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", _core.instruction_sets())
def test_the_environment_chooses_the_instruction_set(name: str) -> None:
    """Pitfall 19."""
    assert run(name).stdout == f"{name} [2, 2, 2]\n"


@pytest.mark.parametrize("name", [None, "", "auto"])
def test_the_best_is_chosen_otherwise(name: str | None) -> None:
    assert run(name).stdout.split()[0] == _core.instruction_sets()[-1]


@pytest.mark.parametrize(
    "name", ["sve9", "AVX2", "neon" if "neon" not in _core.instruction_sets() else "avx2"]
)
def test_what_this_cpu_lacks_raises(name: str) -> None:
    """Pitfall 19: never an illegal instruction, never silently another one."""
    failed = run(name)
    assert failed.returncode != 0
    assert "ValueError: NEUROCENSUS_SIMD: expected one of" in failed.stderr
    assert f"got '{name}'" in failed.stderr
    assert all(choice in failed.stderr for choice in _core.instruction_sets())


def test_a_refused_name_leaves_the_choice_as_it_was() -> None:
    before = _core.instruction_set()
    with pytest.raises(ValueError, match="got 'mmx'"):
        _core.set_instruction_set("mmx")
    assert _core.instruction_set() == before


@pytest.mark.parametrize("name", _core.instruction_sets())
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_counters_are_exact_beyond_float32_and_one_bin(name: str, layout: str) -> None:
    """Pitfalls 14 and 15: float32 counters stop at 2**24, torch.histc too."""
    count = 2**24 + 7
    shape = (1, 1, count) if layout == "rows" else (count, 1)
    before = _core.instruction_set()
    _core.set_instruction_set(name)
    try:
        counted = UnitState(1, histogram=True).update(np.ones(shape, np.float16))
    finally:
        _core.set_instruction_set(before)
    assert counted.nonzero.tolist() == [count]
    assert counted.values == count
    assert counted.histogram is not None
    assert counted.histogram[reference.bin_index(1.0)] == count
    assert counted.histogram.sum() == count
    counted.merge(counted.copy()).merge(counted.copy())
    assert counted.nonzero.tolist() == [4 * count]


def test_constants_are_those_of_the_definition() -> None:
    assert _core.HISTOGRAM_SIZE == reference.HISTOGRAM_SIZE
    assert _core.STATE_FORMAT == state.FORMAT_VERSION
    assert [name for name in _core.FIELDS if not hasattr(reference.empty(1), name)] == []


def test_the_binding_refuses_a_state_of_another_length() -> None:
    with pytest.raises(ValueError, match="words"):
        _core.reset(np.zeros(5, np.int64), 3, False)
    with pytest.raises(TypeError):
        _core.reset(np.zeros(_core.state_words(3, False), np.float64), 3, False)  # type: ignore[arg-type]
