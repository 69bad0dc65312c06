"""What each rank of a process group does in test_groups.py."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from neurocensus.callbacks import ActivationWarning, Monitor
from neurocensus.callbacks.lock import Lock

from .samples import batches, framework, kill, network

OPTIONS: dict[str, Any] = {
    "every_n_steps": 2, "log_every_n_steps": 4, "tensorboard": False, "wandb": False, "warn_over": 0.9,
}  # fmt: skip


def like_torchrun(port: int) -> None:
    """Set what frameworks look for."""
    torch.set_num_threads(1)
    rank = str(dist.get_rank())
    os.environ.update(
        RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=str(dist.get_world_size()), LOCAL_WORLD_SIZE="2",
        GROUP_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="none",
    )  # fmt: skip


def share(data: list[torch.Tensor]) -> list[torch.Tensor]:
    """This rank's batches."""
    return data[dist.get_rank() :: dist.get_world_size()]


def plain(folder: Path) -> list[str]:
    """A loop with DDP, and a validation of which rank 1 alone has a batch; what was warned of."""
    model = network()
    kill(model[0])
    wrapped = DistributedDataParallel(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ActivationWarning)
        with Monitor(wrapped, folder, **OPTIONS) as monitor:
            for step, x in enumerate(share(batches(12))):
                wrapped.train()
                wrapped(x).sum().backward()
                monitor.step()
                if step == 2:
                    wrapped.eval()
                    if dist.get_rank() == 1:
                        wrapped.module(batches(1)[0])
                    monitor.evaluated()
        return [str(one.message) for one in caught if one.category is ActivationWarning]


def an_error_on_one_rank(folder: Path) -> str:
    """Rank 1 fails in its loop, and does not wait for the other."""
    model = network()
    try:
        with Monitor(model, folder, **OPTIONS) as monitor:
            for x in share(batches(6)):
                model(x)
                monitor.step()
            if dist.get_rank() == 1:
                raise FloatingPointError("mine")
            monitor.abort()
    except FloatingPointError as error:
        return str(error)
    return ""


def a_full_disk(folder: Path) -> list[str]:
    """What each step raised while the folder, which only rank 0 looks at, is gone, and after that."""
    model, raised = network(), []
    with Monitor(model, folder, **{**OPTIONS, "warn_over": 1}) as monitor:
        for step, x in enumerate(share(batches(24))):
            if dist.get_rank() == 0 and step == 3:
                shutil.rmtree(folder)
            if dist.get_rank() == 0 and step == 6:
                folder.mkdir()
            model(x)
            try:
                monitor.step()
            except OSError as error:
                raised.append(f"{step} {type(error).__name__} {error}")
    return raised


def a_folder_in_use(folder: Path) -> str:
    """What `open` raises where another monitor is at work."""
    folder.mkdir(exist_ok=True)
    lock = Lock(folder) if dist.get_rank() == 0 else None
    try:
        Monitor(network(), folder, **OPTIONS).open()
    except RuntimeError as error:
        return str(error)
    finally:
        if lock is not None:
            lock.release()
    return ""


def a_warning_is_an_error(folder: Path) -> str:
    """What ends the training in each process, in which the layer is dead from the start."""
    model = network()
    kill(model[0])
    with warnings.catch_warnings(), Monitor(model, folder, **OPTIONS) as monitor:
        warnings.simplefilter("error", ActivationWarning)
        for x in share(batches(16)):
            model(x)
            try:
                monitor.step()
            except ActivationWarning as error:
                return f"{monitor.steps} {error}"
    return ""


def lightning(folder: Path) -> int:
    """Lightning's DDP."""
    framework("lightning.pytorch")
    from neurocensus.callbacks import LightningCallback

    from .test_lightning import Module, loader, pl, trainer, validation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        callback = LightningCallback(folder, **{**OPTIONS, "warn_over": 1})
        fitting: Any = trainer(
            callback, max_epochs=1, strategy="ddp", devices=2, use_distributed_sampler=False, logger=False,
        )  # fmt: skip
        assert isinstance(fitting, pl.Trainer)
        fitting.fit(Module(), loader(8), validation())
    world: int = fitting.world_size
    return world


def transformers(folder: Path) -> int:
    """The trainer of Transformers, which wraps the model in DDP."""
    framework("transformers")
    from neurocensus.callbacks import TransformersCallback

    from .test_transformers import opt, tokens, trainer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        training = trainer(opt(), folder / "out", tokens(32), eval_strategy="steps", eval_steps=4)
        training.add_callback(TransformersCallback(folder, **{**OPTIONS, "warn_over": 1}))
        training.train()
    world: int = training.args.world_size
    return world
