"""Where torch computes."""

from __future__ import annotations

import torch


def available(device: str | torch.device) -> torch.device:
    """The device that torch names so, such as "cpu", "cuda" or "cuda:1".

    Raises:
        ValueError: torch knows no such device, or it is not there.
    """
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:  # as torch says it
        raise ValueError(f"device: expected one that is available here, got {device}: {error}") from error
    return place
