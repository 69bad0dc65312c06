# Generated from the compiled module by `make stubs`; do not edit.
"""
The compiled core: raw pointers in, flat state out. neurocensus.state checks what goes in.
"""

from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing

__all__: list[str] = [
    "DTYPES",
    "FIELDS",
    "HEADER_WORDS",
    "HISTOGRAM_SIZE",
    "MAX_POSITION_AXES",
    "STATE_FORMAT",
    "compiler",
    "instruction_set",
    "instruction_sets",
    "merge",
    "plain_max",
    "reset",
    "set_instruction_set",
    "state_words",
    "update",
]

def compiler() -> str:
    """
    Compiler, version and build type.
    """

def instruction_set() -> str:
    """
    The one in use. Chosen at the first call: the best, or what NEUROCENSUS_SIMD names;
    ValueError where that cannot run here.
    """

def instruction_sets() -> list[str]:
    """
    Instruction sets compiled in that this CPU and operating system can run, worst first.
    """

def merge(
    into: numpy.typing.NDArray[numpy.int64],
    others: list[numpy.typing.NDArray[numpy.int64]],
    first_examples: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    units: typing.SupportsInt | typing.SupportsIndex,
    histogram: bool,
    threads: typing.SupportsInt | typing.SupportsIndex,
) -> None:
    """
    Fold the states `others` into the state `into`, in their order, each read once. Example i of
    others[k] is example first_examples[k] + i of the whole. Drops the GIL.
    """

def plain_max(
    data: typing.SupportsInt | typing.SupportsIndex,
    count: typing.SupportsInt | typing.SupportsIndex,
    threads: typing.SupportsInt | typing.SupportsIndex,
) -> float:
    """
    Maximum of contiguous float32 values: the plain read that benchmarks compare with.
    """

def reset(
    words: numpy.typing.NDArray[numpy.int64],
    units: typing.SupportsInt | typing.SupportsIndex,
    histogram: bool,
) -> None:
    """
    Write the empty state.
    """

def set_instruction_set(name: str) -> None:
    """
    Use another one from now on: 'auto' or one of instruction_sets(). For tests and benchmarks.
    """

def state_words(units: typing.SupportsInt | typing.SupportsIndex, histogram: bool) -> int:
    """
    Length in int64 words of the state of that many units.
    """

def update(
    words: numpy.typing.NDArray[numpy.int64],
    units: typing.SupportsInt | typing.SupportsIndex,
    histogram: bool,
    data: typing.SupportsInt | typing.SupportsIndex,
    dtype: typing.SupportsInt | typing.SupportsIndex,
    shape: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    strides: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    mask: typing.SupportsInt | typing.SupportsIndex,
    mask_example_stride: typing.SupportsInt | typing.SupportsIndex,
    mask_position_stride: typing.SupportsInt | typing.SupportsIndex,
    first_example: typing.SupportsInt | typing.SupportsIndex,
    threshold: typing.SupportsFloat | typing.SupportsIndex,
    threads: typing.SupportsInt | typing.SupportsIndex,
) -> None:
    """
    Fold the values at address `data` into the state. dtype indexes DTYPES; shape and strides (in
    elements) are of (example, unit, positions...); mask is the address of bytes over (example,
    position), or 0. Drops the GIL.
    """

DTYPES: list[str] = ["float32", "float64", "float16", "bfloat16"]
FIELDS: list[str] = [
    "nonzero",
    "active_examples",
    "max",
    "min",
    "argmax",
    "mean",
    "m2",
    "mean_abs",
    "nan",
    "inf",
]
HEADER_WORDS: int = 3
HISTOGRAM_SIZE: int = 1029
MAX_POSITION_AXES: int = 6
STATE_FORMAT: int = 1
