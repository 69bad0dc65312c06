from __future__ import annotations

import pytest
import torch

from neurocensus.devices import available


@pytest.mark.parametrize("name", ["cpu", "meta", torch.device("cpu")])
def test_a_device_that_is_here(name: str | torch.device) -> None:
    assert available(name) == torch.device(name)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "mps:3"])
def test_a_device_that_is_not_here(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"^device: expected one that is available here, got {name}: "
    ) as caught:
        available(name)
    message = str(caught.value)
    assert message.endswith("; the CPU is 'cpu'")
    assert "\n" not in message
    with pytest.raises(ValueError, match=f"^--device: expected one that is available here, got {name}: "):
        available(name, "--device")


def test_of_what_torch_says_the_first_line_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*size: int, device: torch.device) -> None:
        raise RuntimeError("CUDA error: invalid device ordinal\nCUDA kernel errors might be ...")

    monkeypatch.setattr(torch, "empty", fails)
    with pytest.raises(
        ValueError, match=r"got cuda:7: CUDA error: invalid device ordinal; the CPU is 'cpu'$"
    ):
        available("cuda:7")
