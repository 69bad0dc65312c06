"""The callback in a real `Trainer` of Lightning: its rows are those of the same steps by hand."""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from neurocensus.callbacks import Monitor, read_monitor

from .samples import batches, expected_scalars, framework, network, scalars_in

pl = framework("lightning.pytorch")
from neurocensus.callbacks import LightningCallback  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*The number of training batches"),
    pytest.mark.filterwarnings("ignore:.*`LightningModule.configure_optimizers` returned"),
    pytest.mark.filterwarnings("ignore:.*You defined a `validation_step`"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    import logging

    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


class Module(pl.LightningModule):
    """Trains `network`; may fail at a step."""

    def __init__(self, fails_at: int = -1) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net = network()
        self.fails_at = fails_at

    def training_step(self, x: torch.Tensor, index: int) -> torch.Tensor:
        if self.global_step == self.fails_at:
            raise FloatingPointError("mine")
        return self.net(x).square().mean()

    def validation_step(self, x: torch.Tensor, index: int) -> None:
        self.net(x)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


class ByHand(Module):
    """Steps its optimizers itself, all of them for each batch."""

    def __init__(self, optimizers: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.number = optimizers

    def training_step(self, x: torch.Tensor, index: int) -> None:
        for optimizer in self.optimizers():
            self.manual_backward(self.net(x).square().mean())
            optimizer.step()
            optimizer.zero_grad()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), 0.0) for _ in range(self.number)], []


def loader(number: int) -> DataLoader[torch.Tensor]:
    return DataLoader(batches(number), batch_size=None)  # type: ignore[arg-type]


def trainer(callback: Any, **options: Any) -> Any:
    return pl.Trainer(
        **{
            "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "callbacks": [callback],
            "enable_progress_bar": False, "enable_model_summary": False, **options,
        }
    )  # fmt: skip


OPTIONS: dict[str, Any] = {"every_n_steps": 2, "log_every_n_steps": 4, "warn_over": 1}


def own_loop(folder: Path, steps: int, accumulated: int = 1, validate_every: int = 0) -> list[dict[str, Any]]:
    """The same training by hand."""
    module, data = Module(), batches(steps * accumulated)
    optimizer = module.configure_optimizers()
    with Monitor(module, folder, tensorboard=False, wandb=False, **OPTIONS) as monitor:
        for step in range(steps):
            module.train()
            for x in data[step * accumulated : (step + 1) * accumulated]:
                (module.net(x).square().mean() / accumulated).backward()
            optimizer.step()
            optimizer.zero_grad()
            monitor.step()
            if validate_every and (step + 1) % validate_every == 0:
                module.eval()
                for x in batches(2, 6):
                    module.net(x)
                monitor.evaluated()
    return read_monitor(folder)


def validation() -> DataLoader[torch.Tensor]:
    return DataLoader(batches(2, 6), batch_size=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("accumulated", [1, 3])
def test_rows_are_those_of_the_same_loop_by_hand(tmp_path: Path, accumulated: int) -> None:
    callback = LightningCallback(tmp_path / "a", tensorboard=False, wandb=False, **OPTIONS)
    trainer(
        callback, max_epochs=1, accumulate_grad_batches=accumulated, val_check_interval=5 * accumulated
    ).fit(Module(), loader(10 * accumulated), validation())
    assert callback.monitor is not None
    assert not callback.monitor.is_open
    expected = own_loop(tmp_path / "b", 10, accumulated, validate_every=5)
    assert [(one["mode"], one["step"]) for one in expected] == [
        ("train", 4), ("eval", 5), ("train", 8), ("eval", 10), ("train", 10),
    ]  # fmt: skip
    assert repr(read_monitor(tmp_path / "a")) == repr(expected)
    assert "net.1" in expected[0]["layers"]
    assert (tmp_path / "a" / "activations.png").exists()


@pytest.mark.parametrize(
    ("optimizers", "expected"),
    [
        # Batches begin at steps 0, 3, 6, ...; the one at, or first after, each of 0, 4, 8, ... is counted.
        (3, [(0, 6, 12), (6, 9, 12), (9, 12, 12), (12, 18, 12), (18, 21, 12), (21, 24, 12)]),
        (2, [(0, 4, 8), (4, 8, 8), (8, 12, 8), (12, 16, 8)]),
    ],
)
def test_several_optimizers_by_hand(
    tmp_path: Path, optimizers: int, expected: list[tuple[int, int, int]]
) -> None:
    callback = LightningCallback(
        tmp_path, tensorboard=False, wandb=False, every_n_steps=4, log_every_n_steps=4, warn_over=1
    )
    fitting = trainer(callback, max_epochs=1)
    fitting.fit(ByHand(optimizers), loader(8))
    assert fitting.global_step == 8 * optimizers
    rows = read_monitor(tmp_path)
    assert [(one["first_step"], one["step"], one["examples"]) for one in rows] == expected


def test_a_second_fit_of_one_callback(tmp_path: Path) -> None:
    callback = LightningCallback(tmp_path, tensorboard=False, wandb=False, **OPTIONS)
    for _ in range(2):
        trainer(callback, max_epochs=1).fit(Module(), loader(4))
        assert [one["step"] for one in read_monitor(tmp_path)] == [4]
    assert (tmp_path / "activations-1.jsonl").exists()


def test_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    def fit(folder: str, epochs: int, checkpoint: Path | None = None) -> Any:
        callback = LightningCallback(tmp_path / folder, tensorboard=False, wandb=False, **OPTIONS)
        fitting = trainer(callback, max_epochs=epochs)
        fitting.fit(Module(), loader(6), ckpt_path=checkpoint)
        return fitting

    fit("whole", 2)
    fit("two", 1).save_checkpoint(tmp_path / "checkpoint.ckpt")
    with open(tmp_path / "two" / "activations.jsonl", "a") as file:
        file.write("{")  # a line cut short
    fit("two", 2, tmp_path / "checkpoint.ckpt")
    whole, two = read_monitor(tmp_path / "whole"), read_monitor(tmp_path / "two")
    assert [(one["first_step"], one["step"]) for one in whole] == [(0, 4), (4, 8), (8, 12)]
    assert [(one["first_step"], one["step"]) for one in two] == [(0, 4), (4, 6), (6, 8), (8, 12)]
    assert repr([two[0], two[3]]) == repr([whole[0], whole[2]])


def test_scalars_go_to_the_loggers_of_the_trainer(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    loggers = [TensorBoardLogger(tmp_path, name="tb"), CSVLogger(tmp_path, name="csv")]
    callback = LightningCallback(tmp_path / "a", **OPTIONS)
    trainer(callback, max_epochs=1, logger=loggers).fit(Module(), loader(8), validation())
    rows = read_monitor(tmp_path / "a")
    assert {one["mode"] for one in rows} == {"train", "eval"}
    expected = expected_scalars(rows)
    found = {
        tag: values for tag, values in scalars_in(Path(loggers[0].log_dir)).items() if "activations" in tag
    }
    assert found.keys() == expected.keys()
    for tag, values in expected.items():
        assert found[tag] == pytest.approx(values, rel=1e-6)
    with open(Path(loggers[1].log_dir) / "metrics.csv", newline="") as file:
        table = [line for line in csv.DictReader(file) if line["activations/nnu/net.1"]]
    assert [(int(line["step"]), float(line["activations/nnu/net.1"])) for line in table] == list(
        expected["activations/nnu/net.1"].items()
    )
    assert not (tmp_path / "a" / "tensorboard").exists()


def test_without_loggers_tensorboard_is_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    callback = LightningCallback(tmp_path, **OPTIONS)
    trainer(callback, max_epochs=1).fit(Module(), loader(4))
    assert "activations/nnu/net.1" in scalars_in(tmp_path / "tensorboard")


def test_an_error_in_the_training_takes_the_hooks_off(tmp_path: Path) -> None:
    module = Module(fails_at=6)
    callback = LightningCallback(tmp_path, tensorboard=False, wandb=False, **OPTIONS)
    with pytest.raises(FloatingPointError, match="mine"):
        trainer(callback, max_epochs=1).fit(module, loader(8))
    assert not any(m._forward_pre_hooks for m in module.modules())
    assert [one["step"] for one in read_monitor(tmp_path)] == [4, 6]


def test_validation_by_itself_is_not_of_a_training(tmp_path: Path) -> None:
    callback = LightningCallback(tmp_path / "a", **OPTIONS)
    trainer(callback).validate(Module(), validation(), verbose=False)
    assert callback.monitor is None
    assert not (tmp_path / "a").exists()


def test_the_package_of_the_older_name_takes_it(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        older = pytest.importorskip("pytorch_lightning")

    class Older(older.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(8, 4), nn.ReLU())

        training_step = Module.training_step
        fails_at = -1
        configure_optimizers = Module.configure_optimizers

    callback = LightningCallback(tmp_path, tensorboard=False, wandb=False, **OPTIONS)
    older.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback], max_epochs=1,
    ).fit(Older(), loader(4))  # fmt: skip
    assert [one["step"] for one in read_monitor(tmp_path)] == [4]


@pytest.mark.parametrize("name", ["evry_n_steps", "model", "first_step", "log"])
def test_an_option_that_there_is_not(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        TypeError, match=f"{name}: expected one of the options every_n_steps, .*no such option"
    ):
        LightningCallback(tmp_path, **{name: 3})


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "neurocensus.callbacks.lightning")
    with pytest.raises(ImportError, match=r"needs PyTorch Lightning: pip install 'neurocensus\[lightning\]'"):
        import neurocensus.callbacks.lightning  # noqa: F401
