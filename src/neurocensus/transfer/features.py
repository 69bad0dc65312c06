"""Bottleneck features: what a frozen backbone gives for each example, computed once and kept in a file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..hashing import Digest
from ..preserve import evaluating, random_states
from ..storage import atomic

if TYPE_CHECKING:
    from os import PathLike

    from ..data import Examples

_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


def bottleneck(
    backbone: nn.Module,
    examples: Examples,
    *,
    cache: str | PathLike[str],
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    progress: bool | None = None,
) -> Examples:
    """The features that `backbone` gives for `examples`, in eval mode, computed once and memory-mapped.

    A head trains on them as on the images behind the frozen backbone, as long as no augmentation changes
    these. The backbone is left as it was found, and so are the random states.

    The file is named by a hash of the backbone's parameters and buffers (so of the mean and deviation by
    which `neurocensus.zoo` normalises), of its structure as ``repr`` shows it, and of the examples'
    fingerprint. What is computed by code outside of these (another ``forward``) needs another cache folder.
    The versions of torch, the device and the batch size are *not* in it: they change the last bits at most,
    and a training that goes on after an update must go on with the same features.

    Args:
        backbone: takes the examples' batches, gives one tensor (n, ...), such as (n, F).
        examples: the data set, N examples.
        cache: a folder, made if there is none.
        batch_size: examples at a time.
        device: where to compute.
        progress: show a progress bar while they are computed, on a terminal only.

    Returns:
        The same labels and classes with float32 features (N, ...), a read-only memory map, as inputs.

    Raises:
        TypeError: the backbone gives no tensor.
        ValueError: no examples; a feature that is NaN or infinite; `cache` is a file.
        OSError: a full disk, no permission. No part of a file is left to be taken for the whole.
    """
    from ..data import Examples

    if not len(examples):
        raise ValueError("examples: expected at least one, got none")
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    folder = Path(cache)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"cache: expected a folder, got the file {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"features-{_key(backbone, examples)}.npy"
    features = _read(path, len(examples))
    if features is None:
        _write(path, backbone, examples, batch_size, torch.device(device), bool(progress))
        features = _read(path, len(examples))
        if features is None:
            raise OSError(f"{path}: what was just written cannot be read back; is the disk in order?")
    return Examples(features, examples.labels, examples.classes)


def _key(backbone: nn.Module, examples: Examples) -> str:
    """A hash of what the features follow from."""
    digest = Digest("neurocensus.features 1")
    digest.add(type(backbone).__qualname__)
    digest.add(_ADDRESS.sub("", repr(backbone)))
    digest.add_tensors(backbone.named_parameters(remove_duplicate=False))
    digest.add_tensors(backbone.named_buffers(remove_duplicate=False))  # also those that no file holds
    digest.add(examples.fingerprint)
    return digest.hex()[:32]


def _read(path: Path, examples: int) -> npt.NDArray[np.float32] | None:
    """The features in the file, memory-mapped; None if there is no such file, or a damaged one."""
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    whole = features.dtype == np.float32 and features.ndim >= 2 and len(features) == examples
    return features if whole else None


def _write(
    path: Path,
    backbone: nn.Module,
    examples: Examples,
    batch_size: int,
    device: torch.device,
    progress: bool,
) -> None:
    """Compute the features batch by batch into the file, which is there once it is complete.

    Written as a stream, not through a memory map: on a full disk that would end the process by a signal.
    """
    total = len(examples)
    shape: tuple[int, ...] | None = None
    with (
        atomic(path) as temporary,
        open(temporary, "wb") as file,
        random_states(),
        evaluating(backbone, device),
        torch.inference_mode(),
        torch.autocast(device.type, enabled=False),
    ):
        for start in _bar(range(0, total, batch_size), progress):
            indices = np.arange(start, min(start + batch_size, total))
            inputs, _ = examples.batch(indices, device)
            features = _checked(backbone(inputs), indices, shape)
            if shape is None:
                shape = features.shape[1:]
                header: dict[str, Any] = {"descr": "<f4", "fortran_order": False, "shape": (total, *shape)}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(features.astype("<f4", copy=False).data)


def _bar(starts: range, progress: bool) -> Iterable[int]:
    from rich.console import Console
    from rich.progress import track

    quiet = not (progress and sys.stderr.isatty())
    return track(starts, "features", len(starts), console=Console(stderr=True), transient=True, disable=quiet)


def _checked(
    output: Any, indices: npt.NDArray[np.int64], shape: tuple[int, ...] | None
) -> npt.NDArray[np.float32]:
    if not isinstance(output, Tensor):
        raise TypeError(f"backbone: expected it to give one tensor, got {type(output).__name__}")
    if output.dim() < 2 or len(output) != len(indices):
        raise ValueError(
            f"backbone: expected features of shape ({len(indices)}, ...) for {len(indices)} examples, "
            f"got {tuple(output.shape)}"
        )
    if shape is not None and tuple(output.shape[1:]) != shape:
        raise ValueError(f"backbone: expected features of shape {shape} each, got {tuple(output.shape[1:])}")
    features: npt.NDArray[np.float32] = output.float().cpu().contiguous().numpy()
    finite = np.isfinite(features).reshape(len(features), -1).all(axis=1)
    if not finite.all():
        first = int(indices[np.flatnonzero(~finite)[0]])
        raise ValueError(
            f"backbone: a feature of example {first} is NaN or infinite; check the weights, and that "
            "the inputs are scaled as they expect"
        )
    return features
