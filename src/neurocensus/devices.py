"""Where torch computes."""

from __future__ import annotations

import torch


def available(device: str | torch.device, argument: str = "device") -> torch.device:
    """The device that torch names so, such as "cpu", "cuda" or "cuda:1".

    Args:
        device: its name.
        argument: what the user calls it, for the message.

    Raises:
        ValueError: torch knows no such device, or it is not there.
    """
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        reason, _, _ = str(error).partition("\n")  # below it torch advises how to debug CUDA
        raise ValueError(
            f"{argument}: expected one that is available here, got {device}: {reason}; the CPU is 'cpu'"
        ) from error
    return place
