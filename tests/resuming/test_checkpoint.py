"""``nc.audit(..., checkpoint=...)``: what is saved when, and what is gone on from."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import neurocensus as nc
from neurocensus.data.arrays import ArrayBatches
from neurocensus.result import Audit
from neurocensus.resuming import file

X = np.random.default_rng(0).normal(size=(23, 3)).astype(np.float32)


class Stop(Exception):
    pass


class Net(nn.Sequential):
    """Breaks off at one of its forwards."""

    def __init__(self, stop: int | None = None) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
        self.left = stop

    def forward(self, x: Any) -> Any:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Stop
        return super().forward(x)


def audit(path: Path | None, loader: Any, *, stop: int | None = None, **options: Any) -> Audit:
    kept = {} if path is None else {"checkpoint": path, "checkpoint_every": 5, "resume": True}
    return nc.audit(Net(stop), loader, progress=False, **{**kept, **options})


def arrays(**options: Any) -> ArrayBatches:
    return ArrayBatches(X, batch_size=4, **options)


def loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.from_numpy(X)), 4)


@given(
    st.lists(st.integers(0, 8), max_size=4), st.integers(1, 30), st.booleans(), st.none() | st.integers(1, 30)
)
def test_interrupted_and_resumed(stops: list[int], every: int, ours: bool, most: int | None) -> None:
    make: Callable[[], Any] = arrays if ours else loader
    wanted = audit(None, make(), histogram=True, max_examples=most).to_bytes()
    options = {"checkpoint_every": every, "histogram": True, "max_examples": most}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        for stop in stops:
            try:
                found = audit(path, make(), stop=stop, **options)
            except Stop:
                continue
            assert found.to_bytes() == wanted
        assert audit(path, make(), **options).to_bytes() == wanted
        assert audit(path, make(), stop=0, **options).to_bytes() == wanted  # all is done: no forward runs


def test_saved_at_the_end_of_the_batch_in_which_it_is_due(tmp_path: Path) -> None:
    path = tmp_path / "c"
    seen = []
    for stop in range(6):
        path.unlink(missing_ok=True)
        with pytest.raises(Stop):
            audit(path, arrays(), stop=stop)
        seen.append(file.read(path).audit.examples if path.exists() else 0)
    assert seen == [0, 0, 8, 8, 16, 16]
    path.unlink(missing_ok=True)
    audit(path, arrays())
    assert file.read(path).done


def test_the_next_one_is_due_so_many_examples_after_the_interruption(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        audit(tmp_path / "c", arrays(), stop=2)
    for stop, examples in ((1, 8), (2, 16)):
        with pytest.raises(Stop):
            audit(tmp_path / "c", arrays(), stop=stop)
        assert file.read(tmp_path / "c").audit.examples == examples


def test_resume_alone_goes_on_as_before(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with pytest.raises(Stop):
        audit(path, arrays(), stop=2)
    with pytest.raises(Stop):
        audit(path, arrays(), stop=2, checkpoint_every=None)
    assert file.read(path).audit.examples == 16
    path.unlink()
    assert audit(path, arrays(), checkpoint_every=None).examples == 23  # nothing there: from the start
    assert not path.exists()


def test_what_was_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stop):
        audit(tmp_path / "c", arrays(), stop=4)
    made: list[int] = []
    make = ArrayBatches._batch
    monkeypatch.setattr(
        ArrayBatches, "_batch", lambda self, index: (made.append(index), make(self, index))[1]
    )
    batches = arrays()
    made.clear()
    audit(tmp_path / "c", batches)
    assert made == [4, 5]


def test_random_states_go_on_and_are_left_alone(tmp_path: Path) -> None:
    class Noisy(Net):
        def forward(self, x: Any) -> Any:
            return super().forward(x + torch.rand(1) + float(np.random.rand()))  # noqa: NPY002

    def run(stop: int | None, path: Path | None) -> bytes:
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        kept: Any = {} if path is None else {"checkpoint": path, "checkpoint_every": 1, "resume": True}
        model = Noisy(stop)
        before = torch.get_rng_state()
        try:
            return nc.audit(model, loader(), progress=False, **kept).to_bytes()
        finally:
            assert torch.equal(torch.get_rng_state(), before)

    with pytest.raises(Stop):
        run(3, tmp_path / "c")
    assert run(None, tmp_path / "c") == run(None, None)


def test_layers_that_come_late_or_never(tmp_path: Path) -> None:
    """Order of layers, what was expected and what never fired, although only a part of it was seen again."""

    class Branching(nn.Module):
        def __init__(self, stop: int | None) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.act_a = nn.Linear(3, 5), nn.ReLU()
            self.b, self.act_b = nn.Linear(3, 5), nn.ReLU()
            self.never, self.left = nn.ReLU(), stop

        def forward(self, x: Any) -> Any:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Stop
            return self.act_a(self.a(x)) if float(x[0, 0]) > 0 else self.act_b(self.b(x))

    for signs in ("+-+-", "++--", "-+++", "+---"):
        batches = [torch.full((2, 3), 1.0 if sign == "+" else -1.0) for sign in signs]
        wanted = nc.audit(Branching(None), batches, progress=False)
        for stop in (1, 2, 3):
            path = tmp_path / f"{signs}{stop}"
            for left in (stop, None):
                kept: Any = {"checkpoint": path, "checkpoint_every": 1, "resume": True}
                try:
                    found = nc.audit(Branching(left), batches, progress=False, **kept)
                except Stop:
                    before = file.read(path).audit
            assert all(found.layers[n].unit_rule == layer.unit_rule for n, layer in before.layers.items())
            assert in_full(found).to_bytes() == in_full(wanted).to_bytes(), (signs, stop)


def in_full(found: Audit) -> Audit:
    """With the words for where units are as if each layer had been there in the first forward.

    A layer that is first reached in the first batch after an interruption is better known than without one.
    """
    layers = {
        name: replace(layer, unit_rule=layer.unit_rule.removesuffix(", as far as seen"))
        for name, layer in found.layers.items()
    }
    told = ("model", "examples", "batches", "expected", "never_fired", "threshold", "versions", "annotations")
    return Audit(layers, **{name: getattr(found, name) for name in told})


def test_a_mask_and_other_ways_to_run(tmp_path: Path) -> None:
    batches = [
        {"x": torch.from_numpy(X[first : first + 4]), "keep": torch.arange(4) > 1} for first in (0, 4, 8)
    ]
    options: Any = {
        "mask": "keep",
        "forward": lambda model, batch: model(batch["x"]),
        "layers": re.compile("1"),
    }
    with pytest.raises(Stop):
        audit(tmp_path / "c", batches, stop=2, **options)
    found = audit(tmp_path / "c", batches, **options)
    assert found.to_bytes() == audit(None, batches, **options).to_bytes()
    assert found.layers["1"].masked


# What is refused.


def test_a_checkpoint_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        audit(tmp_path / "c", arrays(), stop=3)
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(
        FileExistsError, match=r"checkpoint: .*c is of an audit that was begun; .*resume=True"
    ):
        audit(tmp_path / "c", arrays(), resume=False)
    assert (tmp_path / "c").read_bytes() == before


def changed(model: Net) -> Net:
    with torch.no_grad():
        model[0].weight[0, 0] += 1
    return model


def other_function(model: Any, batch: Any) -> Any:
    return model(batch[0])


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (lambda: changed(Net()), {}, "model's weights: [0-9a-f]{16} there, [0-9a-f]{16} here"),
        (lambda: nn.Sequential(*Net()), {}, "model: Net there, Sequential here"),
        (Net, {"loader": ArrayBatches(X + 1, batch_size=4)}, "data, x: float32 .* there, float32 .* here"),
        (Net, {"loader": ArrayBatches(X, batch_size=5)}, "data, batch size: 4 there, 5 here"),
        (Net, {"loader": loader()}, r"data, loader: none there, torch\..*\.DataLoader here"),
        (Net, {"threshold": 0.5}, "threshold: 0.0 there, 0.5 here"),
        (Net, {"histogram": True}, "histogram: False there, True here"),
        (Net, {"layers": "modules"}, "layers: activations there, modules here"),
        (Net, {"layers": re.compile("1")}, r"layers: activations there, /1/ \(32\) here"),
        (Net, {"max_examples": 9}, "max examples: none there, 9 here"),
        (Net, {"forward": other_function}, r"forward: none there, tests\..*\.other_function here"),
        (Net, {"unit_axis": {"1": 1}}, r"unit axis: none there, {'1': 1} here"),
    ],
)
def test_another_audit_is_refused(tmp_path: Path, make: Any, options: dict[str, Any], words: str) -> None:
    path = tmp_path / "c"
    with pytest.raises(Stop):
        audit(path, arrays(), stop=3)
    before = path.read_bytes()
    data = options.pop("loader", arrays())
    with pytest.raises(ValueError, match=f"resume: .*c is of another audit; (?s:.*)\n  {words}"):
        nc.audit(make(), data, progress=False, checkpoint=path, checkpoint_every=3, resume=True, **options)
    assert path.read_bytes() == before


def test_a_changed_setting_of_a_module_is_another_model(tmp_path: Path) -> None:
    def model(stride: int) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 2, 1, stride), nn.ReLU())

    kept: Any = {"checkpoint": tmp_path / "c", "checkpoint_every": 1, "resume": True, "progress": False}
    nc.audit(model(1), [torch.ones(1, 1, 4, 4)], **kept)
    with pytest.raises(ValueError, match="model's modules: "):
        nc.audit(model(2), [torch.ones(1, 1, 4, 4)], **kept)


def test_a_shuffled_loader_is_refused(tmp_path: Path) -> None:
    def shuffled(seed: int) -> DataLoader[Any]:
        generator = torch.Generator().manual_seed(seed)
        return DataLoader(TensorDataset(torch.from_numpy(X)), 4, shuffle=True, generator=generator)

    for seed in (1, 2):
        with pytest.raises(Stop):
            audit(tmp_path / str(seed), shuffled(seed), stop=3)
    with pytest.raises(ValueError, match=r"loader: expected the 2 batches that were counted .*shuffle=False"):
        audit(tmp_path / "1", shuffled(2))
    assert audit(tmp_path / "1", shuffled(1)).to_bytes() == audit(None, shuffled(1)).to_bytes()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"checkpoint_every": 5}, ValueError, "checkpoint_every: expected checkpoint too"),
        ({"resume": True}, ValueError, "resume: expected checkpoint too"),
        ({"checkpoint": "c"}, ValueError, "checkpoint_every: expected a number of examples"),
        ({"checkpoint": "c", "checkpoint_every": 0}, ValueError, "checkpoint_every: expected at least 1"),
        ({"checkpoint": "c", "checkpoint_every": 1.5}, TypeError, "checkpoint_every: expected an integer"),
        (
            {"checkpoint": "none/c", "checkpoint_every": 1}, FileNotFoundError,
            "checkpoint: the folder none does not exist",
        ),
    ],
)  # fmt: skip
def test_arguments_that_do_not_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, error: type[Exception], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        nc.audit(Net(), arrays(), progress=False, **options)


def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"

    def full(file: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(file))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(
            OSError, match="No space left on device: the checkpoint was not written, there is none"
        ):
            audit(path, arrays())
    with pytest.raises(Stop):
        audit(path, arrays(), stop=3)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="the last good one is untouched"):
            audit(path, arrays())
    assert path.read_bytes() == before
    assert audit(path, arrays()).to_bytes() == audit(None, arrays()).to_bytes()


def damages(content: bytes) -> Iterator[tuple[str, bytes]]:
    middle = len(content) // 2
    yield "cut", content[:middle]
    yield "one bit", content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    yield "another file", b"hello"
    yield "an audit", nc.audit(Net(), arrays(), progress=False).to_bytes()


@pytest.mark.parametrize("number", range(4))
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, number: int) -> None:
    path = tmp_path / "c"
    with pytest.raises(Stop):
        audit(path, arrays(), stop=3)
    _, content = list(damages(path.read_bytes()))[number]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint: (?s:.*)/c.*delete it to begin anew"):
        audit(path, arrays())
    assert path.read_bytes() == content


def test_a_distributed_sampler_counts_its_repeats_once() -> None:
    from torch.utils.data import DistributedSampler

    data = TensorDataset(torch.from_numpy(X[:5]))
    found = []
    for rank in range(4):
        sampler = DistributedSampler(data, 4, rank, shuffle=False)
        found.append(nc.audit(Net(), DataLoader(data, 2, sampler=sampler), progress=False).examples)
    assert found == [2, 1, 1, 1]
    short = TensorDataset(torch.from_numpy(X[:1]))
    loader = DataLoader(short, 2, sampler=DistributedSampler(short, 2, 1, shuffle=False))
    none = nc.audit(Net(), loader, progress=False)
    assert (none.examples, dict(none.layers), none.expected) == (0, {}, ())


def test_a_tensor_of_no_numbers_is_carried(tmp_path: Path) -> None:
    def squash(x: Tensor) -> Tensor:
        return torch.full_like(x, torch.nan)

    class Broken(Net):
        def forward(self, x: Any) -> Any:
            return super().forward(squash(x))

    kept: Any = {"checkpoint": tmp_path / "c", "checkpoint_every": 3, "resume": True, "progress": False}
    with pytest.raises(Stop):
        nc.audit(Broken(3), arrays(), **kept)
    found = nc.audit(Broken(), arrays(), **kept)
    assert found.to_bytes() == nc.audit(Broken(), arrays(), progress=False).to_bytes()
