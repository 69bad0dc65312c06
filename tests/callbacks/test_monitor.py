"""The monitor in a plain loop: its rows are audits of the steps that were counted."""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import neurocensus as nc
from neurocensus.callbacks import ActivationWarning, Monitor, read_monitor
from neurocensus.callbacks.statistics import row_of

from .samples import batches, expected_scalars, fail, kill, network, scalars_in, train


def quiet(model: nn.Module, folder: Path, **options: Any) -> Monitor:
    """A monitor without writers, and without a warning of small layers."""
    return Monitor(model, folder, **{"tensorboard": False, "wandb": False, "warn_over": 1, **options})


def frozen(monitor: Monitor, model: nn.Module, data: list[torch.Tensor]) -> None:
    """Steps that leave the weights as they are, so that an audit can be made afterwards."""
    for x in data:
        model.train()
        model(x)
        monitor.step()


def like(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What two ways to the same activations have in common to the last bit."""
    return [
        {key: value for key, value in one.items() if key not in ("first_step", "step", "mode")}
        for one in rows
    ]


@pytest.mark.parametrize(("every", "log_every"), [(1, 3), (2, 4), (3, 5)])
def test_a_row_is_an_audit_of_the_steps_counted(tmp_path: Path, every: int, log_every: int) -> None:
    model, data = network(), batches(13)
    with quiet(model, tmp_path, every_n_steps=every, log_every_n_steps=log_every) as monitor:
        frozen(monitor, model, data)
    rows = read_monitor(tmp_path)
    ends = [*range(log_every, 13, log_every), 13]
    assert [(one["first_step"], one["step"]) for one in rows] == list(zip([0, *ends], ends, strict=False))
    for one in rows:
        counted = [data[step] for step in range(one["first_step"], one["step"]) if step % every == 0]
        plain = row_of(nc.audit(model, counted), "train", one["first_step"], one["step"])
        assert repr(like([one])) == repr(like([plain]))


def test_training_and_validation_are_apart(tmp_path: Path) -> None:
    model, data = network(), batches(6)
    with quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=4) as monitor:
        frozen(monitor, model, data[:2])
        model.eval()
        model(data[5])
        monitor.evaluated()
        frozen(monitor, model, data[2:4])
    train_row, eval_row = sorted(read_monitor(tmp_path), key=lambda one: one["mode"], reverse=True)
    assert (eval_row["mode"], eval_row["first_step"], eval_row["step"]) == ("eval", 2, 2)
    assert repr(like([eval_row])) == repr(like([row_of(nc.audit(model, data[5:]), "eval", 0, 0)]))
    assert repr(like([train_row])) == repr(like([row_of(nc.audit(model, data[:4]), "train", 0, 0)]))


def test_batches_whose_gradients_are_accumulated_are_one_step(tmp_path: Path) -> None:
    model, data = network(), batches(8)
    with quiet(model, tmp_path, every_n_steps=2, log_every_n_steps=4) as monitor:
        for first, second in zip(data[::2], data[1::2], strict=True):
            model.train()
            model(first)
            model(second)
            monitor.step()
    (one,) = read_monitor(tmp_path)
    plain = nc.audit(model, [data[0], data[1], data[4], data[5]])
    assert repr(like([one])) == repr(like([row_of(plain, "train", 0, 4)]))


def test_what_is_left_at_the_end_is_written_and_drawn(tmp_path: Path) -> None:
    model = network()
    monitor = quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=100).open()
    frozen(monitor, model, batches(3))
    assert monitor.is_open
    assert monitor.steps == 3
    monitor.close()
    monitor.close()
    assert not monitor.is_open
    assert [one["step"] for one in read_monitor(tmp_path)] == [3]
    assert sorted(os.listdir(tmp_path)) == ["activations.jsonl", "activations.png"]
    assert (tmp_path / "activations.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_was_trained(tmp_path: Path) -> None:
    with quiet(network(), tmp_path / "new"):
        pass
    assert list((tmp_path / "new").iterdir()) == []


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    keys = [sorted(module.__dict__) for module in model.modules()]
    with quiet(model, tmp_path, mask="mask", every_n_steps=1, log_every_n_steps=1) as monitor:
        frozen(monitor, model, batches(2))
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert [sorted(module.__dict__) for module in model.modules()] == keys
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_random_numbers_are_the_users(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Dropout(0.5))

    def run() -> torch.Tensor:
        torch.manual_seed(1)
        return torch.stack([model(x) for x in batches(3)])

    plain = run()
    with quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=1):
        watched = run()
    assert torch.equal(plain, watched)


class TestScalars:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("tensorboard")

    def test_tensorboard_has_those_of_the_rows(self, tmp_path: Path) -> None:
        model, data = network(), batches(6)
        with Monitor(model, tmp_path, every_n_steps=1, log_every_n_steps=2, warn_over=1) as monitor:
            train(monitor, model, data[:4])
            model.eval()
            model(data[4])
            monitor.evaluated()
        expected = expected_scalars(read_monitor(tmp_path))
        found = scalars_in(tmp_path / "tensorboard")
        assert "activations/nnu/1" in found
        assert "eval/activations/nnu/1" in found
        assert found.keys() == expected.keys()
        for tag, values in expected.items():
            assert found[tag] == pytest.approx(values, rel=1e-6)


def test_a_logger_gets_them(tmp_path: Path) -> None:
    model, got = network(), []
    with quiet(
        model,
        tmp_path,
        every_n_steps=1,
        log_every_n_steps=2,
        log=lambda s, step: got.append((step, s["activations/nnu"])),
    ) as monitor:
        frozen(monitor, model, batches(4))
    assert got == [(one["step"], one["nnu"]) for one in read_monitor(tmp_path)]


def test_a_dying_layer_is_warned_of_once_until_it_recovers(tmp_path: Path) -> None:
    model, data = network(), batches(1)
    weight = model[0].weight.detach().clone()
    told = []
    with quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=1, warn_over=0.9) as monitor:
        for dead in (False, True, True, False, True):
            if dead:
                kill(model[0])
            else:
                with torch.no_grad():
                    model[0].weight.copy_(weight)
                    model[0].bias.fill_(1)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                frozen(monitor, model, data)
            told.append([str(one.message) for one in caught])
            assert all(one.filename == __file__ and one.category is ActivationWarning for one in caught)
    assert [len(one) for one in told] == [0, 1, 0, 0, 1]
    assert "'1': 100 % of 16 units dead on 4 examples" in told[1][0]
    rows = read_monitor(tmp_path)
    assert [[alarm["layer"] for alarm in one["warnings"]] for one in rows] == [[], ["1"], [], [], ["1"]]


def test_nan_is_warned_of_and_the_row_is_there_before_the_warning_is_raised(tmp_path: Path) -> None:
    model = network()
    with torch.no_grad():
        model[0].bias[3] = math.nan
    with quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=1) as monitor:
        with pytest.raises(
            ActivationWarning, match=r"not finite \(train mode, steps 0 to 1\): '1': 4 NaN values"
        ):
            frozen(monitor, model, batches(1))
        assert len(read_monitor(tmp_path)) == 1


@settings(max_examples=8)  # pictures take their time
@given(st.integers(0, 12), st.integers(1, 4), st.integers(1, 4))
def test_a_training_that_goes_on_has_the_rows_of_one_that_did_not_stop(
    stop: int, every: int, windows: int
) -> None:
    import tempfile

    model, data, log_every = network(), batches(12, size=2), every * windows
    options: dict[str, Any] = {"every_n_steps": every, "log_every_n_steps": log_every}
    checkpoint = stop // log_every * log_every  # one that was written when a row was
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        with quiet(model, Path(one), **options) as monitor:
            frozen(monitor, model, data)
        killed = quiet(model, Path(two), **options).open()
        frozen(killed, model, data[:stop])
        killed._shut()  # a kill writes nothing
        with quiet(model, Path(two), first_step=checkpoint, **options) as monitor:
            frozen(monitor, model, data[checkpoint:])
        assert repr(read_monitor(one)) == repr(read_monitor(two))


def test_a_training_that_goes_on_between_rows_says_what_it_did_not_see(tmp_path: Path) -> None:
    model, data = network(), batches(10)
    for first, stop in ((0, 7), (6, 10)):
        with quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=4, first_step=first) as monitor:
            frozen(monitor, model, data[first:stop])
    assert [(one["first_step"], one["step"]) for one in read_monitor(tmp_path)] == [(0, 4), (6, 8), (8, 10)]


def test_a_training_that_goes_on_counts_the_steps_that_the_whole_one_does(tmp_path: Path) -> None:
    model, data = network(), batches(12)
    for name, first in (("whole", 0), ("part", 6)):
        options = {"every_n_steps": 4, "log_every_n_steps": 4, "first_step": first}
        with quiet(model, tmp_path / name, **options) as monitor:
            frozen(monitor, model, data[first:])
    whole, part = read_monitor(tmp_path / "whole"), read_monitor(tmp_path / "part")
    assert [(one["first_step"], one["step"], one["batches"]) for one in part] == [(8, 12, 1)]
    assert repr(part) == repr(whole[2:])


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=12), st.integers(1, 4), st.integers(0, 4),
    st.integers(0, 2),
)  # fmt: skip
def test_steps_that_jump_cross_what_is_due(jumps: list[int], every: int, more: int, first: int) -> None:
    """A batch in which the count comes to, or over, a multiple is counted; rows likewise."""
    import tempfile

    model, log_every = network(), every + more
    ends = [first + sum(jumps[: index + 1]) for index in range(len(jumps))]
    starts = [first, *ends[:-1]]
    counted = [
        before // every < now // every if number else now % every == 0
        for number, (before, now) in enumerate(zip([first, *starts], starts, strict=False))
    ]
    due = [now // log_every > before // log_every for before, now in zip(starts, ends, strict=True)]
    due[-1] = True  # what is left at the end
    expected, window = [], []
    for index, data in enumerate(batches(len(jumps), size=2)):
        window += [data] * counted[index]
        if due[index]:
            if window:
                expected.append((ends[index], row_of(nc.audit(model, window), "train", 0, 0)))
            window = []
    with tempfile.TemporaryDirectory() as folder:
        options = {"every_n_steps": every, "log_every_n_steps": log_every, "first_step": first}
        with quiet(model, Path(folder), **options) as monitor:  # no warning of rows of nothing either
            for x, done in zip(batches(len(jumps), size=2), ends, strict=True):
                model.train()
                model(x)
                monitor.step(done)
        rows = read_monitor(folder) if expected else []
        assert [one["step"] for one in rows] == [step for step, _ in expected]
        assert repr(like(rows)) == repr(like([one for _, one in expected]))


def test_a_row_that_cannot_be_written_goes_into_the_next(tmp_path: Path) -> None:
    model, data, folder = network(), batches(6), tmp_path / "run"
    kill(model[0])
    message = r"no row was added, what was counted is kept .*make the folder again: '.*activations.jsonl'"
    with quiet(model, folder, every_n_steps=1, log_every_n_steps=2, warn_over=0.9) as monitor:
        shutil.rmtree(folder)
        with pytest.raises(FileNotFoundError, match=message):
            frozen(monitor, model, data[:2])
        model.eval()
        model(data[4])
        with pytest.raises(FileNotFoundError, match=message):
            monitor.evaluated()
        frozen(monitor, model, data[2:3])  # no row is due here
        folder.mkdir()
        with pytest.warns(ActivationWarning, match="100 % of 16 units dead on 16 examples"):
            frozen(monitor, model, data[3:4])
        model.eval()
        model(data[5])
        with pytest.warns(ActivationWarning, match="dead on 8 examples"):
            monitor.evaluated()
        frozen(monitor, model, data[4:5])
    rows = read_monitor(folder)
    assert [(one["mode"], one["first_step"], one["step"]) for one in rows] == [
        ("train", 0, 4), ("eval", 4, 4), ("train", 4, 5),
    ]  # fmt: skip
    for one, counted in zip(rows, (data[:4], data[4:], data[4:5]), strict=True):
        one["warnings"] = []
        assert repr(like([one])) == repr(like([row_of(nc.audit(model, counted), "train", 0, 0)]))


def test_what_could_not_be_written_is_written_at_the_end(tmp_path: Path) -> None:
    model, folder = network(), tmp_path / "run"
    with quiet(model, folder, every_n_steps=1, log_every_n_steps=2) as monitor:
        shutil.rmtree(folder)
        with pytest.raises(FileNotFoundError):
            frozen(monitor, model, batches(2))
        folder.mkdir()
    assert [(one["first_step"], one["step"], one["batches"]) for one in read_monitor(folder)] == [(0, 2, 2)]


def test_a_writer_that_fails_costs_no_row_and_doubles_none(tmp_path: Path) -> None:
    model = network()
    with quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=1, log=fail) as monitor:
        for x in batches(2):
            with pytest.raises(FloatingPointError, match="mine"):
                frozen(monitor, model, [x])
    assert [(one["first_step"], one["batches"]) for one in read_monitor(tmp_path)] == [(0, 1), (1, 1)]


def test_after_an_error_the_hooks_are_off_and_what_was_seen_is_there(tmp_path: Path) -> None:
    model = network()
    monitor = quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=100)
    with pytest.raises(FloatingPointError, match="mine"), monitor:  # noqa: PT012
        frozen(monitor, model, batches(3))
        model[2].register_forward_hook(fail)
        frozen(monitor, model, batches(1))
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert [one["step"] for one in read_monitor(tmp_path)] == [3]
    assert (tmp_path / "activations.png").exists()


class Masked(nn.Module):
    """Tokens in, with a mask of those that are none."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.act = nn.Linear(8, 6), nn.ReLU()

    def forward(self, x: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        out: torch.Tensor = self.act(self.up(x))
        return out


def by_function(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    found: torch.Tensor | None = kwargs["attention_mask"]
    return found


@pytest.mark.parametrize("mask", ["attention_mask", by_function])
def test_padding_is_not_counted(tmp_path: Path, mask: Any) -> None:
    model = Masked()
    x, keep = torch.randn(3, 5, 8), torch.tensor([[1] * 5, [1, 1, 0, 0, 0], [0, 1, 1, 1, 1]])
    with quiet(model, tmp_path, mask=mask, every_n_steps=2, log_every_n_steps=4) as monitor:
        for _ in range(3):
            model(x, attention_mask=keep)
            monitor.step()
        model.eval()  # in a step in which training is not counted
        model(x, attention_mask=1 - keep)
        monitor.evaluated()
    evaluated, trained = read_monitor(tmp_path)
    for one, masks in ((evaluated, [1 - keep]), (trained, [keep, keep])):
        data = [{"x": x, "attention_mask": mask} for mask in masks]
        plain = nc.audit(model, data, mask="attention_mask")
        assert repr(like([one])) == repr(like([row_of(plain, "train", 0, 0)]))


@pytest.mark.parametrize("compiled", [False, True])
def test_a_copy_of_the_model_is_not_watched(tmp_path: Path, compiled: bool) -> None:
    """Such as the one that averages the weights."""
    model = Masked()
    wrapped: Any = torch.compile(model, backend="eager") if compiled else model
    x, keep = torch.randn(3, 5, 8), torch.ones(3, 5)
    with quiet(wrapped, tmp_path, mask="attention_mask", every_n_steps=1, log_every_n_steps=1) as monitor:
        wrapped(x, attention_mask=keep)
        copy.deepcopy(model)(x[:1], attention_mask=keep[:1])
        monitor.step()
    assert [one["examples"] for one in read_monitor(tmp_path)] == [3]


def test_a_mask_that_is_added_to_scores_is_none(tmp_path: Path) -> None:
    model, data = Masked(), {"x": torch.randn(3, 5, 8), "attention_mask": torch.full((3, 1, 1, 5), -1e9)}
    with quiet(model, tmp_path, mask="attention_mask", every_n_steps=1, log_every_n_steps=1) as monitor:
        model(**data)
        monitor.step()
    plain = row_of(nc.audit(model, [data]), "train", 0, 1)
    assert repr(like(read_monitor(tmp_path))) == repr(like([plain]))


def test_a_model_that_is_never_in_training_mode_is_warned_of(tmp_path: Path) -> None:
    model = network().eval()
    with quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=1) as monitor:
        model(batches(1)[0])
        with pytest.warns(
            ActivationWarning, match=r"nothing in training mode in steps 0 to 1; call model.train\(\)"
        ):
            monitor.step()
        monitor.evaluated()
        with pytest.warns(ActivationWarning, match=r"nothing in eval mode; call model.eval\(\)"):
            monitor.evaluated()
    assert [one["mode"] for one in read_monitor(tmp_path)] == ["eval"]


def test_outside_of_the_window_there_are_no_rows(tmp_path: Path) -> None:
    model = network()
    with quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=2, window=(4, 7)) as monitor:
        frozen(monitor, model, batches(10))
    assert [(one["step"], one["batches"]) for one in read_monitor(tmp_path)] == [(6, 2), (8, 1)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every_n_steps": 0}, ValueError, "every_n_steps: expected at least 1, got 0"),
        ({"log_every_n_steps": 0}, ValueError, "log_every_n_steps: expected at least 1, got 0"),
        (
            {"every_n_steps": 8, "log_every_n_steps": 4},
            ValueError,
            "expected at least every_n_steps, 8, got 4",
        ),
        ({"warn_over": 1.5}, ValueError, r"warn_over: expected a share in \[0, 1\], got 1.5"),
        ({"warn_over": math.nan}, ValueError, "warn_over"),
        ({"warn_over": "0.5"}, TypeError, "warn_over: expected a share .* got str"),
        ({"warn_over": True}, TypeError, r"warn_over: expected a share in \[0, 1\], got bool"),
        ({"threshold": "a"}, TypeError, "threshold: expected a finite number of at least 0, got str"),
        ({"threshold": None}, TypeError, "threshold: expected a finite number of at least 0, got NoneType"),
        ({"threshold": -1}, ValueError, "threshold: expected a finite number of at least 0, got -1"),
        ({"threshold": math.nan}, ValueError, "threshold: expected a finite number of at least 0, got nan"),
        ({"threads": "a"}, TypeError, "threads: expected an integer, got str"),
        ({"threads": 0}, ValueError, "threads: expected at least 1, got 0"),
        ({"every_n_steps": "a"}, TypeError, "every_n_steps: expected an integer, got str"),
        ({"log_every_n_steps": 2.5}, TypeError, "log_every_n_steps: expected an integer, got float"),
        ({"first_step": "a"}, TypeError, "first_step: expected an integer, got str"),
        ({"window": ("a", 3)}, TypeError, "window.*expected an integer, got str"),
        ({"unit_axis": "a"}, TypeError, "unit_axis: .*str"),
        ({"example_axis": "a"}, TypeError, "example_axis: .*str"),
        ({"mask": 3}, TypeError, "mask: expected the name of an argument .* got int"),
        ({"tensorboard": "yes"}, ValueError, "tensorboard: expected True, False or \"auto\", got 'yes'"),
        ({"wandb": None}, ValueError, 'wandb: expected True, False or "auto", got None'),
        ({"log": "x"}, TypeError, "log: expected a function"),
        ({"first_step": -1}, ValueError, "first_step: expected at least 0, got -1"),
        ({"layers": ["no"]}, ValueError, "no"),
    ],
)
def test_bad_arguments(tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    model = network()
    with pytest.raises(error, match=message):
        Monitor(model, tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_a_folder_that_is_no_path() -> None:
    with pytest.raises(TypeError, match="folder: expected a path, got int"):
        Monitor(network(), 3)  # type: ignore[arg-type]


def test_calls_out_of_place(tmp_path: Path) -> None:
    monitor = quiet(network(), tmp_path, first_step=5)
    for call in (monitor.step, monitor.evaluated):
        with pytest.raises(
            RuntimeError, match=r"not at work: use it in a with block, or call open\(\) first"
        ):
            call()
    with monitor:
        with pytest.raises(RuntimeError, match="at work already"):
            monitor.open()
        with pytest.raises(ValueError, match="number: expected at least 5, the steps done before, got 4"):
            monitor.step(4)
        monitor.step(9)
        assert monitor.steps == 9


def test_an_error_at_the_beginning_leaves_no_hooks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    model = network()
    with pytest.raises(NotADirectoryError):
        quiet(model, tmp_path / "file", mask="m").open()
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_names_may_be_anything(tmp_path: Path) -> None:
    model = nn.Sequential()
    model.add_module("层$\\frac$\n\x1b[31m<b>", nn.Sequential(nn.Linear(8, 3), nn.ReLU()))
    with quiet(model, tmp_path, every_n_steps=1, log_every_n_steps=1) as monitor:
        frozen(monitor, model, batches(1))
    (line,) = (tmp_path / "activations.jsonl").read_text("ascii").splitlines()
    assert list(json.loads(line)["layers"]) == ["层$\\frac$\n\x1b[31m<b>.1"]
