"""Files of responses: one for each `Responses`, or a folder with one for each step of a recorder.

A file holds ``steps`` and, for each layer by its number, ``<number>.values`` and ``<number>.silent``;
everything else is JSON in its metadata (see `neurocensus.array_files`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from ... import array_files
from .result import Responses, joined

FORMAT: Final = "neurocensus.responses"

_STEP_FILES: Final = "step-*.safetensors"


def write(responses: Responses, path: str | os.PathLike[str]) -> None:
    """Write to one file, atomically."""
    arrays: dict[str, npt.NDArray[Any]] = {"steps": responses.steps}
    for number, name in enumerate(responses.layers):
        arrays[f"{number}.values"] = responses.layers[name]
        arrays[f"{number}.silent"] = responses.silent[name]
    body = {
        "model": responses.model,
        "inputs": responses.inputs,
        "layers": list(responses.layers),
        "reduce": responses.reduce,
        "fingerprint": responses.fingerprint,
    }
    array_files.write(path, FORMAT, arrays, body)


def read(path: str | os.PathLike[str]) -> Responses:
    """What `write` wrote to a file, or `write_step` to a folder."""
    path = Path(path)
    if not path.is_dir():
        return _read(path)
    steps = read_steps(path)
    if not steps:
        raise FileNotFoundError(f"{path}: expected files {_STEP_FILES}, as a recorder leaves, found none")
    return joined(list(steps.values()))


def write_step(responses: Responses, folder: Path) -> None:
    """Write the responses at one step to its file in `folder`, which is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    write(responses, _step_file(folder, int(responses.steps[0])))


def read_steps(folder: Path) -> dict[int, Responses]:
    """All that `write_step` left in `folder`, by step; empty if there is none."""
    found = (_read(file) for file in folder.glob(_STEP_FILES))
    return {int(responses.steps[0]): responses for responses in found}


def remove_step(step: int, folder: Path) -> None:
    """Delete the file of a step; nothing happens where there is none."""
    _step_file(folder, step).unlink(missing_ok=True)


def _step_file(folder: Path, step: int) -> Path:
    return folder / _STEP_FILES.replace("*", f"{step:08d}")


def _read(path: Path) -> Responses:
    arrays, body = array_files.read(path, FORMAT)
    try:
        parts = {
            part: {name: arrays[f"{number}.{part}"] for number, name in enumerate(body["layers"])}
            for part in ("values", "silent")
        }
        return Responses(
            model=body["model"],
            steps=arrays["steps"],
            inputs=body["inputs"],
            layers=parts["values"],
            silent=parts["silent"],
            reduce=body["reduce"],
            fingerprint=body["fingerprint"],
        )
    except KeyError as error:
        raise ValueError(
            f"{path}: expected the entry {error} of responses, found none; record anew"
        ) from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected responses, got an impossible content: {error}") from error
