from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurocensus import transfer
from neurocensus.data import Examples

from .models import Blocks


def examples(count: int = 10, seed: int = 0) -> Examples:
    random = np.random.default_rng(seed)
    return Examples(random.integers(0, 256, (count, 8, 8, 3), np.uint8), np.arange(count) % 2, ("cat", "dog"))


def expected(backbone: nn.Module, data: Examples) -> Tensor:
    was = backbone.training
    backbone.eval()
    with torch.no_grad():
        out: Tensor = backbone(data.batch(np.arange(len(data)))[0])
    backbone.train(was)
    return out


class Counting(Blocks):
    """Counts where it is not made to forget: of a model's own attributes nothing is to be left changed."""

    def __init__(self) -> None:
        super().__init__()
        Counting.forwards = 0

    def forward(self, images: Tensor) -> Tensor:
        Counting.forwards += 1
        return super().forward(images)


def test_the_features_are_what_the_backbone_gives_in_eval_mode(tmp_path: Path) -> None:
    backbone, data = Blocks(), examples()
    with torch.no_grad():
        backbone.train()(torch.rand(4, 3, 8, 8))  # running statistics other than the batch's
    features = transfer.bottleneck(backbone, data, cache=tmp_path, batch_size=4)
    assert features.inputs.dtype == np.float32
    assert isinstance(features.inputs, np.memmap)
    assert not features.inputs.flags.writeable
    assert torch.allclose(torch.tensor(np.array(features.inputs)), expected(backbone, data), atol=1e-5)
    assert np.array_equal(features.labels, data.labels)
    assert features.classes == data.classes


def test_they_are_computed_once(tmp_path: Path) -> None:
    backbone, data = Counting(), examples()
    first = transfer.bottleneck(backbone, data, cache=tmp_path, batch_size=4)
    assert backbone.forwards == 3
    again = transfer.bottleneck(backbone, data, cache=tmp_path, batch_size=4)
    assert backbone.forwards == 3
    assert np.array_equal(first.inputs, again.inputs)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_part_of_the_data_in_another_order_has_its_own_features(tmp_path: Path) -> None:
    backbone, data = Counting(), examples()
    whole = transfer.bottleneck(backbone, data, cache=tmp_path)
    order = np.array([7, 0, 3])
    part = transfer.bottleneck(backbone, data.take(order), cache=tmp_path)
    assert np.allclose(part.inputs, whole.inputs[order], atol=1e-6)
    assert np.array_equal(part.labels, data.labels[order])


def changed_weight(backbone: Counting, data: Examples) -> Examples:
    with torch.no_grad():
        backbone.layers[0].weight[0, 0, 0, 0] += 1e-6
    return data


def changed_buffer(backbone: Counting, data: Examples) -> Examples:
    backbone.mean.fill_(0.25)
    return data


def changed_hidden_buffer(backbone: Counting, data: Examples) -> Examples:
    backbone.register_buffer("gain", torch.ones(1), persistent=False)
    return data


def changed_structure(backbone: Counting, data: Examples) -> Examples:
    backbone.layers[2] = nn.ReLU6()
    return data


def changed_data(backbone: Counting, data: Examples) -> Examples:
    return examples(seed=1)


@pytest.mark.parametrize(
    "change", [changed_weight, changed_buffer, changed_hidden_buffer, changed_structure, changed_data]
)
def test_what_they_follow_from_is_in_the_key(change: Any, tmp_path: Path) -> None:
    backbone, data = Counting(), examples()
    transfer.bottleneck(backbone, data, cache=tmp_path)
    data = change(backbone, data)
    features = transfer.bottleneck(backbone, data, cache=tmp_path)
    assert backbone.forwards == 2
    assert torch.allclose(torch.tensor(np.array(features.inputs)), expected(backbone, data), atol=1e-5)


def test_the_key_does_not_depend_on_the_process_or_the_batch_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = Blocks()
    backbone.layers.append(Lambda(torch.abs))
    transfer.bottleneck(backbone, examples(), cache=tmp_path, batch_size=3)
    program = """
        import sys, torch
        from tests.transfer.test_features import Blocks, Lambda, examples, transfer
        torch.manual_seed(0)
        backbone = Blocks()
        backbone.layers.append(Lambda(torch.abs))
        transfer.bottleneck(backbone, examples(), cache=sys.argv[1])
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), tmp_path], check=True)
    assert len(list(tmp_path.iterdir())) == 1


class Lambda(nn.Module):
    """Its text has the address of the function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def extra_repr(self) -> str:
        return f"<function {self.function.__name__} at {hex(id(self))}>"

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.function(x)
        return out


def test_the_model_and_the_random_states_are_left_as_they_were(tmp_path: Path) -> None:
    backbone = Blocks().train()
    backbone.layers[4].eval()
    backbone.layers.append(nn.Dropout(0.5))
    backbone.layers.append(Lambda(lambda x: x + torch.rand(())))  # draws, also in eval mode
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    modes = [module.training for module in backbone.modules()]
    state = torch.get_rng_state()
    transfer.bottleneck(backbone, examples(), cache=tmp_path)
    assert modes == [module.training for module in backbone.modules()]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())
    backbone(torch.rand(2, 3, 8, 8)).sum().backward()  # no tensor of inference mode is left in it


def test_autocast_around_it_does_not_round_the_features(tmp_path: Path) -> None:
    backbone, data = Blocks(), examples()
    plain = transfer.bottleneck(backbone, data, cache=tmp_path / "plain")
    with torch.autocast("cpu", torch.bfloat16):
        inside = transfer.bottleneck(backbone, data, cache=tmp_path / "inside")
    assert np.array_equal(plain.inputs, inside.inputs)


def test_a_half_precision_backbone_gives_float32_features(tmp_path: Path) -> None:
    class Half(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1).bfloat16()

    features = transfer.bottleneck(Half(), examples(), cache=tmp_path)
    assert features.inputs.dtype == np.float32


def test_features_of_any_shape_keep_it(tmp_path: Path) -> None:
    features = transfer.bottleneck(nn.Conv2d(3, 4, 3), examples(), cache=tmp_path / "a" / "b")
    assert features.inputs.shape == (10, 4, 6, 6)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", None])
def test_a_damaged_file_is_computed_again(damage: bytes | None, tmp_path: Path) -> None:
    backbone, data = Counting(), examples()
    whole = np.array(transfer.bottleneck(backbone, data, cache=tmp_path).inputs)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    again = transfer.bottleneck(backbone, data, cache=tmp_path)
    assert backbone.forwards == 2
    assert np.array_equal(whole, again.inputs)


def test_a_killed_run_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    program = """
        import os, signal, sys
        from tests.transfer.test_features import Counting, examples, transfer

        class Killed(Counting):
            def forward(self, images):
                if self.forwards == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().forward(images)

        Killed.__qualname__ = "Counting"
        import torch
        torch.manual_seed(0)
        transfer.bottleneck(Killed(), examples(), cache=sys.argv[1], batch_size=4)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), tmp_path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("features-*")), "a part under the name of the whole"
    torch.manual_seed(0)
    backbone = Counting()
    features = transfer.bottleneck(backbone, examples(), cache=tmp_path, batch_size=4)
    assert backbone.forwards == 3
    assert torch.allclose(torch.tensor(np.array(features.inputs)), expected(backbone, examples()), atol=1e-5)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open

    def full(path: Any, mode: str = "r", **more: Any) -> Any:
        return opened("/dev/full" if mode == "wb" else path, mode, **more)

    monkeypatch.setattr("neurocensus.transfer.features.open", full, raising=False)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        transfer.bottleneck(Blocks(), examples(), cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_failing_backbone_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        transfer.bottleneck(nn.Linear(3, 3), examples(), cache=tmp_path)
    assert not list(tmp_path.iterdir())


class Gives(nn.Module):
    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: Tensor) -> Any:
        return self.output(images)


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        (lambda x: (x,), TypeError, "backbone: expected it to give one tensor, got tuple"),
        (lambda x: x.sum(), ValueError, r"features of shape \(4, ...\) for 4 examples, got \(\)"),
        (lambda x: x[:1], ValueError, r"expected features of shape \(4, ...\)"),
        (lambda x: x[:, :, : len(x)], ValueError, r"features of shape \(3, 4, 8\) each, got \(3, 2, 8\)"),
        (lambda x: x / (x.amax() != 0.123) / 0, ValueError, "a feature of example 0 is NaN or infinite"),
    ],
)
def test_what_is_no_feature_is_told(output: Any, error: type, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        transfer.bottleneck(Gives(output), examples(), cache=tmp_path, batch_size=4)
    assert not list(tmp_path.iterdir())


def test_bad_arguments_are_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match="cache: expected a folder, got the file"):
        transfer.bottleneck(Blocks(), examples(), cache=file)
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        transfer.bottleneck(Blocks(), examples(), cache=tmp_path, batch_size=0)
    with pytest.raises(ValueError, match="examples: expected at least one"):
        transfer.bottleneck(Blocks(), examples().take(slice(0, 0)), cache=tmp_path)
    with pytest.raises(ValueError, match="lazy parameter without values"):
        transfer.bottleneck(nn.LazyLinear(2), examples(), cache=tmp_path)
