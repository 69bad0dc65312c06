"""Every kind of call on the device, small, against the host: for compute-sanitizer to watch.

Shapes are odd on purpose: where rows and panels end in the middle of a vector, kernels may read too far.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from torch import Tensor

from neurocensus import UnitState

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SHAPES = {
    "rows": (3, 5, 7, 11),
    "long rows": (2, 3, 4099),
    "columns": (37, 67),
    "one unit": (9, 1),
    "channels_last": (3, 37, 5, 7),
    "strided": (4, 6, 10, 10),
    "no example": (0, 8, 3),
}
EXACT = ("nonzero", "active_examples", "max", "min", "argmax", "nan", "inf", "dead")


def tensors(name: str, dtype: torch.dtype) -> Tensor:
    x = torch.randn(SHAPES[name], generator=torch.Generator().manual_seed(0)).relu().to(dtype)
    if x.numel():
        flat = x.view(-1)
        flat[:: max(len(flat) // 3, 1)] = torch.tensor([float("nan")], dtype=dtype)
        flat[-1] = float("inf")
    if name == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    return x[:, :, 1::2, ::3] if name == "strided" else x


def on_host(state: UnitState) -> UnitState:
    """A copy to read field by field: each would be fetched from the device by itself."""
    return UnitState(state.units, histogram=state.has_histogram).merge(state)


def cases(device: str) -> Iterator[tuple[str, UnitState, UnitState]]:
    for name, dtype, histogram, masked in product(SHAPES, DTYPES, (False, True), (False, True)):
        x = tensors(name, dtype)
        mask = torch.arange(x[:, 0].numel()).view(x[:, 0].shape) % 3 > 0 if masked else None
        there = UnitState(x.shape[1], histogram=histogram, device=device)
        here = UnitState(x.shape[1], histogram=histogram)
        moved = torch.empty_strided(x.shape, x.stride(), dtype=dtype, device=device).copy_(x)
        for _ in range(2):
            here.update(x, mask=mask)
            there.update(moved, mask=None if mask is None else mask.to(device))
        label = f"{name}, {dtype}, histogram {histogram}, mask {masked}"
        yield label, here, on_host(there)
        there.merge(there.copy())
        yield f"{label}, merged", here.merge(here.copy()), on_host(there)


def main(device: str) -> None:
    total = 0
    for label, here, there in cases(device):
        total += 1
        assert (there.examples, there.values) == (here.examples, here.values), label
        for field in EXACT:
            np.testing.assert_array_equal(getattr(there, field), getattr(here, field), f"{label}: {field}")
        for field in ("mean", "m2", "mean_abs"):
            found, wanted = getattr(there, field), getattr(here, field)
            np.testing.assert_allclose(found, wanted, 1e-4, 1e-6, err_msg=f"{label}: {field}")
        if here.histogram is not None:
            np.testing.assert_array_equal(there.histogram, here.histogram, f"{label}: histogram")
    print(f"{total} states agree with the host's")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    main(parser.parse_args().device)
