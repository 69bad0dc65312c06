"""From any array (NumPy, torch, DLPack) to address, dtype, shape and strides, without a copy."""

from __future__ import annotations

import sys
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch

FLOATS = ("float32", "float64", "float16", "bfloat16")


class Buffer(NamedTuple):
    """Memory of an array. ``strides`` are in elements; ``owner`` keeps the memory alive."""

    address: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    owner: Any


def is_torch(array: Any) -> bool:
    """Whether it is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def buffer_of(array: Any, name: str, device: torch.device | None = None) -> Buffer:
    """Look at an array's memory; ``name`` is the argument's name in error messages.

    ``device`` is where the memory must be; None for the host, to which tensors are copied, with a warning.

    Raises:
        TypeError: not an array, or one without strided memory.
        ValueError: an array that is not on ``device``.
    """
    if device is not None:
        return _on_device(array, name, device)
    if is_torch(array):
        return _from_torch(array, name)
    if isinstance(array, (np.ndarray, np.generic)):
        return _from_numpy(np.asarray(array), name)
    if hasattr(array, "__dlpack__"):
        return _from_dlpack(array, name)
    raise TypeError(
        f"{name}: expected a NumPy array, a torch tensor or an array with __dlpack__, "
        f"got {type(array).__name__}; convert it with numpy.asarray"
    )


def _from_numpy(array: np.ndarray[Any, Any], name: str) -> Buffer:
    if not array.dtype.isnative:
        raise TypeError(
            f"{name}: expected native byte order, got {array.dtype}; "
            f"use .astype({name}.dtype.newbyteorder('='))"
        )
    size = array.itemsize
    if any(stride % size for stride in array.strides) or array.ctypes.data % size:
        array = np.ascontiguousarray(array)  # fields of a record array: not strided by whole values
    strides = tuple(stride // size for stride in array.strides)
    return Buffer(array.ctypes.data, array.dtype.name, array.shape, strides, array)


def _on_device(array: Any, name: str, device: torch.device) -> Buffer:
    if not is_torch(array) and not isinstance(array, np.ndarray) and hasattr(array, "__dlpack__"):
        import torch

        array = torch.from_dlpack(array)  # type: ignore[attr-defined]
    place = array.device if is_torch(array) else "the host"
    if place != device:
        raise ValueError(
            f"{name}: expected a tensor on {device}, where the state is, got {type(array).__name__} on "
            f"{place}; move it there, or give the state another device"
        )
    return _strided(array, name)


def _from_torch(tensor: Any, name: str) -> Buffer:
    if not tensor.is_cpu and not tensor.is_meta:
        warnings.warn(
            f"{name}: a tensor on {tensor.device} is copied to the host, where the state is; "
            "UnitState(device=...) counts on a CUDA device without a copy",
            stacklevel=4,
        )
        tensor = tensor.detach().cpu()
    return _strided(tensor, name)


def _strided(tensor: Any, name: str) -> Buffer:
    torch = sys.modules["torch"]
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        kind = "quantized" if tensor.is_quantized else "nested" if tensor.is_nested else tensor.layout
        raise TypeError(
            f"{name}: expected a dense tensor, got a {kind} one; use .to_dense() or .dequantize()"
        )
    if tensor.is_meta:
        raise TypeError(f"{name}: expected values, got a tensor on the meta device, which has none")
    if tensor.is_neg():
        tensor = tensor.detach().resolve_neg()
    if not (address := tensor.data_ptr()) and tensor.numel():
        raise TypeError(f"{name}: expected values, got a {type(tensor).__name__}, which has none")
    return Buffer(address, _dtype_name(tensor.dtype), tuple(tensor.shape), tensor.stride(), tensor)


@cache
def _dtype_name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _from_dlpack(array: Any, name: str) -> Buffer:
    try:
        return _from_numpy(np.from_dlpack(array), name)
    except (BufferError, RuntimeError, TypeError):
        import torch  # knows bfloat16 and devices, which NumPy does not

        try:
            return _from_torch(torch.from_dlpack(array), name)  # type: ignore[attr-defined]
        except Exception as error:
            raise TypeError(
                f"{name}: its __dlpack__ cannot be read ({error}); convert it with numpy.asarray"
            ) from error
