# Generated from the compiled module by `make stubs`; do not edit.
"""
The CUDA core: device pointers in, flat state out, launched in a stream and not waited for.
neurocensus.state checks what goes in. RuntimeError where CUDA refuses; the state is then as it was.
"""

from __future__ import annotations
import collections.abc
import typing

__all__: list[str] = [
    "NEXT_EXAMPLE",
    "architectures",
    "compiler",
    "device_count",
    "driver_version",
    "kernels",
    "merge",
    "reset",
    "runtime_version",
    "update",
]

def architectures() -> str:
    """
    Compute capabilities that it was built for.
    """

def compiler() -> str:
    """
    nvcc, its version and build type.
    """

def device_count() -> tuple[int, str]:
    """
    Number of devices that can be used; with 0, the reason in CUDA's words.
    """

def driver_version() -> int:
    """
    CUDA version of the driver; 0 without one.
    """

def kernels() -> list[str]:
    """
    Names of the kernels that it must hold.
    """

def merge(
    into: typing.SupportsInt | typing.SupportsIndex,
    other: typing.SupportsInt | typing.SupportsIndex,
    units: typing.SupportsInt | typing.SupportsIndex,
    histogram: bool,
    device: typing.SupportsInt | typing.SupportsIndex,
    stream: typing.SupportsInt | typing.SupportsIndex,
) -> None:
    """
    Fold the state `other` into the state `into`.
    """

def reset(
    words: typing.SupportsInt | typing.SupportsIndex,
    units: typing.SupportsInt | typing.SupportsIndex,
    histogram: bool,
    device: typing.SupportsInt | typing.SupportsIndex,
    stream: typing.SupportsInt | typing.SupportsIndex,
) -> None:
    """
    Write the empty state.
    """

def runtime_version() -> int:
    """
    CUDA version it was built with: 13000 is 13.0.
    """

def update(
    words: typing.SupportsInt | typing.SupportsIndex,
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
    enabled: typing.SupportsInt | typing.SupportsIndex,
    device: typing.SupportsInt | typing.SupportsIndex,
    stream: typing.SupportsInt | typing.SupportsIndex,
    zeros: typing.SupportsInt | typing.SupportsIndex,
    zeros_bytes: typing.SupportsInt | typing.SupportsIndex,
    parts: typing.SupportsInt | typing.SupportsIndex,
    parts_bytes: typing.SupportsInt | typing.SupportsIndex,
) -> tuple[int, int]:
    """
    Fold the values at address `data` into the state at `words`, as _core.update does. first_example:
    or NEXT_EXAMPLE for the state's own. enabled: address of a byte, zero to do nothing, or 0. zeros,
    parts: scratch; zeros holds zeros before and after. Returns the bytes that both must have; with
    less, nothing was done.
    """

NEXT_EXAMPLE: int = -1
