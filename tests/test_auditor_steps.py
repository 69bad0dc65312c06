"""An auditor in a training loop: steps, windows, modes kept apart, windows computed anew, going on."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurocensus.auditor import Auditor, audit
from neurocensus.result import Audit, merge

EXACT = ("examples", "values", "next_example", "nonzero", "active_examples", "max", "min", "argmax")
ALL = (*EXACT, "mean", "m2", "mean_abs", "nan", "inf")


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 4), nn.ReLU())


def batches(count: int, size: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(count)
    return [torch.randn(size, 3, generator=generator) for _ in range(count)]


def hooks_on(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def assert_same(found: Audit, expected: Audit, fields: tuple[str, ...] = ALL) -> None:
    assert list(found.layers) == list(expected.layers)
    assert (found.examples, found.batches) == (expected.examples, expected.batches)
    for name, layer in found.layers.items():
        for field in fields:
            np.testing.assert_array_equal(
                getattr(layer.state, field), getattr(expected.layers[name].state, field), err_msg=field
            )
        assert layer.calls == expected.layers[name].calls


def by_hand(model: nn.Module, inputs: list[Tensor]) -> Audit:
    """The same forwards, counted one and all, on a copy: others may be looking at the model."""
    model = copy.deepcopy(model)
    with Auditor(model) as auditor:
        for x in inputs:
            model(x)
    return auditor.compute()


def test_without_step_everything_is_one_step() -> None:
    model = mlp().eval()
    with Auditor(model, every_n_steps=50) as auditor:
        model.train()
        for x in batches(60):
            model(x)
    assert (auditor.steps, auditor.active, auditor.compute().batches) == (0, True, 60)


@given(
    every=st.integers(1, 5),
    first=st.integers(0, 6),
    length=st.none() | st.integers(1, 6),
    forwards=st.lists(st.integers(1, 3), min_size=1, max_size=12),
)
def test_which_steps_are_counted(every: int, first: int, length: int | None, forwards: list[int]) -> None:
    """Of each step all forwards (gradient accumulation), in the order of the data; hooks only where due."""
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU())
    stop = None if length is None else first + length
    inputs = iter(batches(sum(forwards)))
    counted = []
    with Auditor(model, every_n_steps=every, window=(first, stop)) as auditor:
        auditor.trace = False
        for step, micro in enumerate(forwards):
            due = step % every == 0 and step >= first and (stop is None or step < stop)
            assert (auditor.steps, auditor.active) == (step, due)
            for _ in range(micro):
                x = next(inputs)
                model(x).sum().backward()
                assert hooks_on(model[0]) == 2 * due or (step == 0 and not due)
                counted += [x] * due
            auditor.step()
    if counted:
        assert_same(auditor.compute(), by_hand(model, counted))
    else:
        assert (auditor.modes, auditor.compute().layers) == ((), {})
    assert hooks_on(model) == 0


def test_on_other_steps_only_the_model_itself_has_hooks() -> None:
    model = mlp()
    with Auditor(model, every_n_steps=2) as auditor:
        model(batches(1)[0])
        auditor.step()
        model(batches(1)[0])
        assert hooks_on(model) == 2
        assert not torch.overrides._get_current_function_mode_stack()
        auditor.step()
        assert hooks_on(model) == 12
    assert auditor.compute().batches == 1


def test_training_and_eval_mode_are_kept_apart() -> None:
    """By the mode of what is called; in eval mode all is counted, in whatever step."""
    model, inputs = mlp(), batches(9)
    with Auditor(model, every_n_steps=3) as auditor:
        for i, x in enumerate(inputs):
            model.train()
            torch.manual_seed(i)
            model(x)
            model.eval()
            model(x)
            auditor.step()
    assert auditor.modes == ("train", "eval")
    with pytest.raises(ValueError, match=r'kept apart; say which: compute\("train"\) or compute\("eval"\)'):
        auditor.compute()
    with pytest.raises(ValueError, match='expected "train" or "eval", got \'test\''):
        auditor.compute("test")  # type: ignore[arg-type]
    found = auditor.compute("train"), auditor.compute("eval")
    assert [layer.training for a in found for layer in a.layers.values()] == [True, True, False, False]
    assert_same(found[1], audit(model, inputs, progress=False))
    model.train()
    with Auditor(model) as expected:
        for i in (0, 3, 6):
            torch.manual_seed(i)
            model(inputs[i])
    assert_same(found[0], expected.compute("train"))


def test_a_part_in_eval_mode_does_not_make_it_eval() -> None:
    model = mlp()
    model[1].eval()
    model(batches(1)[0])
    with Auditor(model) as auditor:
        model(batches(1)[0])
    assert auditor.modes == ("train",)
    assert [layer.training for layer in auditor.compute().layers.values()] == [False, True]


def test_where_numbers_jump_the_step_that_they_come_to_is_counted() -> None:
    auditor = Auditor(mlp(), every_n_steps=10)
    due = []
    for number in range(1, 60, 3):
        auditor.step(number)
        assert auditor.active == (auditor.step(number) or auditor.active)  # said twice, it is the same step
        due += [number] * auditor.active
    assert due == [10, 22, 31, 40, 52]
    auditor.step(20)  # back to a checkpoint
    assert auditor.active
    auditor.step(11)
    assert not auditor.active


def test_a_part_called_by_itself_in_a_step_that_is_not_due() -> None:
    class Game(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.player = nn.Sequential(nn.Linear(3, 8), nn.ReLU())
            self.critic = nn.Sequential(nn.Linear(8, 3), nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.player(x)
            return out

    model, (x,) = Game(), batches(1)
    with Auditor(model, every_n_steps=2) as auditor:
        model(x)
        auditor.step()
        model.critic(torch.randn(4, 8))
        model.player(x)
        auditor.step()
        for _ in range(10):
            model(x)
            auditor.step()
        model.eval()
        model(x)
        model(x)
    assert (auditor.compute("train").batches, auditor.compute("eval").batches) == (6, 2)
    assert list(auditor.compute("train").layers) == ["player.1"]


def test_a_forward_that_fails_before_the_first_due_step_leaves_nothing() -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.relu, self.fails = nn.Linear(3, 5), nn.ReLU(), True

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.relu(self.linear(x))
            if self.fails:
                raise FloatingPointError
            return out

    model, (x,) = Failing(), batches(1)
    whole = by_hand_of(model, x)
    for resumed in (False, True):
        model.fails = True
        auditor = Auditor(model, every_n_steps=1, window=(2, None))
        if resumed:
            auditor.resume(whole, "train")
        with auditor:
            with pytest.raises(FloatingPointError):
                model(1000 * x)
            model.fails = False
            for _ in range(3):
                auditor.step()
                model(x)
        found = auditor.compute("train")
        layer = found.layers["relu"]
        assert (found.batches, layer.calls, layer.state.examples) == ((3, 3, 12) if resumed else (2, 2, 8))
        np.testing.assert_array_equal(layer.state.max, whole.layers["relu"].state.max)
        np.testing.assert_array_equal(
            layer.state.nonzero, whole.layers["relu"].state.nonzero * (3 if resumed else 2)
        )


def by_hand_of(model: nn.Module, x: Tensor) -> Audit:
    model.fails = False  # type: ignore[assignment]
    return by_hand(model, [x])


@pytest.mark.parametrize("due", [False, True])
def test_an_interrupted_forward_ends_with_the_step(due: bool) -> None:
    class Interrupted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu, self.comes = nn.ReLU(), False

        def forward(self, x: Tensor) -> Tensor:
            if self.comes:
                raise KeyboardInterrupt
            out: Tensor = self.relu(x)
            return out

    model, (x,) = Interrupted(), batches(1)
    with Auditor(model, every_n_steps=1 if due else 2) as auditor:
        model(x)
        auditor.step()
        model.comes = True
        with pytest.raises(KeyboardInterrupt):
            model(x)
        model.comes = False
        if due:
            with pytest.raises(RuntimeError, match=r"was interrupted \(Ctrl-C\)"):
                auditor.compute(reset=True)
        auditor.step()
        model(x)
        auditor.compute()
    assert auditor.compute().batches == 2
    assert not torch.overrides._get_current_function_mode_stack()


def test_one_mode_is_forgotten() -> None:
    model, (x,) = mlp(), batches(1)
    with Auditor(model) as auditor:
        model(x)
        model.eval()(x)
        auditor.reset("train")
        assert auditor.modes == ("eval",)
        with pytest.raises(ValueError, match='mode: expected "train" or "eval", got \'both\''):
            auditor.reset("both")  # type: ignore[arg-type]


def test_each_mode_warns_of_its_own_mask() -> None:
    model, (x,) = mlp(), batches(1)
    with Auditor(model) as auditor:
        auditor.mask = torch.ones(5, 2, dtype=torch.bool)
        model(x)
        model.eval()(x)
    for mode in ("train", "eval"):
        with pytest.warns(UserWarning, match="the mask does not fit"):
            auditor.compute(mode, reset=True)  # type: ignore[arg-type]


def test_windows_one_after_another() -> None:
    model, inputs = nn.Sequential(nn.Linear(3, 5), nn.ReLU()), batches(6)
    with Auditor(model, every_n_steps=1) as auditor:
        for start in (0, 3):
            for x in inputs[start : start + 3]:
                model(x)
                auditor.step()
            model.eval()(inputs[0])
            model.train()
            assert_same(auditor.compute("train", reset=True), by_hand(model, inputs[start : start + 3]))
            assert auditor.modes == ("eval",)
    assert auditor.compute("train").layers == {}
    assert auditor.compute("train").never_fired == ("1",)
    assert auditor.compute("eval").batches == 2
    auditor.reset()
    assert (auditor.modes, auditor.steps) == ((), 6)


def test_not_inside_a_forward() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU())
    auditor = Auditor(model).attach()
    model[1].register_forward_hook(lambda *_: auditor.compute("train", reset=True) and None)
    with pytest.raises(RuntimeError, match="between forwards"):
        model(batches(1)[0])
    auditor.detach()


def test_steps_are_numbered_by_the_user() -> None:
    model = mlp()
    auditor = Auditor(model, every_n_steps=10, window=(1000, None))
    assert not auditor.active
    auditor.step(1000)
    assert (auditor.steps, auditor.active) == (1000, True)
    auditor.step()
    assert (auditor.steps, auditor.active) == (1001, False)
    auditor.step(np.int64(1010))  # type: ignore[arg-type]
    assert auditor.active


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every_n_steps": 0}, ValueError, "every_n_steps: expected at least 1, got 0"),
        ({"every_n_steps": 0.5}, TypeError, "every_n_steps: expected an integer, got float"),
        ({"window": 5}, TypeError, r"window: expected \(first step, step to stop before or None\), got 5"),
        ({"window": (5, 5)}, ValueError, r"window\[1\]: expected at least 6, got 5"),
        ({"window": (-1, None)}, ValueError, r"window\[0\]: expected at least 0, got -1"),
    ],
)
def test_bad_cadence(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Auditor(mlp(), **options)
    with pytest.raises(ValueError, match="number: expected at least 0, got -1"):
        Auditor(mlp()).step(-1)


class Reused(nn.Module):
    """One in-place ReLU used twice, a part recomputed in the backward pass, a functional activation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Linear(3, 4), nn.Linear(4, 4), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        x = checkpoint(lambda v: self.relu(self.second(v)), x, use_reentrant=False)  # type: ignore[assignment]
        return torch.tanh(x)


@pytest.mark.parametrize("autocast", [False, True])
def test_a_real_loop_counts_each_forward_once(autocast: bool) -> None:
    """Checkpoints, accumulation, mixed precision, in-place activations, reused modules: once each."""
    torch.manual_seed(0)
    results = []
    for audited in (False, True):
        torch.manual_seed(0)
        model = Reused()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        auditor = Auditor(model, every_n_steps=2)
        kept: dict[str, list[Tensor]] = {}
        if audited:
            auditor.attach()
        for step in range(4):
            for x in batches(3)[: step % 3 + 1]:
                with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    y = model(x)
                if step % 2 == 0:
                    kept.setdefault("tanh", []).append(y.detach().clone())
                y.float().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            auditor.step()
        auditor.detach()
        results.append([p.detach().clone() for p in model.parameters()])
    assert all(map(torch.equal, *results))
    found = auditor.compute("train")
    assert {name: layer.calls for name, layer in found.layers.items()} == {"relu": 4, "relu:2": 4, "tanh": 4}
    tanh = torch.cat(kept["tanh"]).double().numpy()
    np.testing.assert_array_equal(found.layers["tanh"].state.max, tanh.max(0))
    np.testing.assert_array_equal(found.layers["tanh"].state.argmax, tanh.argmax(0))
    assert (found.examples, found.batches) == (len(tanh), 4)
    assert found.layers["relu"].dtype == ("bfloat16" if autocast else "float32")


@pytest.mark.parametrize("first", [0, 3])
def test_compiled_the_cadence_needs_no_second_graph(first: int) -> None:
    """A switch on the device says whether the step counts: one graph for each mode, on and off."""
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    model, inputs = nn.Sequential(nn.Linear(3, 5), nn.ReLU()), batches(9)
    run: Callable[[Tensor], Tensor] = torch.compile(model, backend="eager", fullgraph=True)
    with Auditor(model, every_n_steps=3, window=(first, None)) as auditor:
        for x in inputs:
            run(x).sum().backward()
            auditor.step()
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        found = auditor.compute("train", reset=True)
        model.eval()
        with torch.no_grad():
            run(inputs[0])
        assert auditor.uncompiled is None
    assert graphs == 1
    assert_same(found, by_hand(model.train(), inputs[first::3]))
    assert (auditor.modes, auditor.compute().examples) == (("eval",), 4)
    torch.compiler.reset()


def test_the_mask_of_examples_says_how_many_there_were() -> None:
    model, (x,) = nn.Sequential(nn.Linear(3, 5), nn.ReLU()), batches(1)
    with Auditor(model) as auditor:
        model(x)
        auditor.mask = torch.tensor([True, False, True, False])
        model(x)
        auditor.mask = None
        model(x)
    found = auditor.compute()
    assert (found.examples, found.layers["1"].state.examples, found.layers["1"].state.next_example) == (
        10,
        10,
        12,
    )


# Going on from an earlier audit.


@given(cut=st.integers(1, 5), histogram=st.booleans())
def test_gone_on_it_is_the_same_bit_for_bit(cut: int, histogram: bool) -> None:
    model, inputs = mlp().eval(), batches(6)
    whole, first, second = (Auditor(model, histogram=histogram) for _ in range(3))
    for auditor, part in ((whole, inputs), (first, inputs[:cut])):
        with auditor:
            for x in part:
                model(x)
    second.resume(first.compute())
    assert_same(second.compute(), first.compute())
    with second:
        for x in inputs[cut:]:
            model(x)
    assert_same(second.compute(), whole.compute())
    fields = [("histogram",)] if histogram else []
    for (field,) in fields:
        assert_same(second.compute(), whole.compute(), (field,))


def test_what_was_gone_on_from_is_not_merged_in_again() -> None:
    model, inputs = mlp().eval(), batches(3)
    halves = [audit(model, [x], progress=False) for x in inputs[:2]]
    for before in (halves[0], merge(*halves)):
        auditor = Auditor(model)
        auditor.resume(before)
        with auditor:
            model(inputs[2])
        for again in (before, halves[0]):
            with pytest.raises(ValueError, match="expected every shard once"):
                merge(auditor.compute(), again)


def test_layers_that_do_not_come_again_are_kept() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.a(x)) if len(x) == 4 else torch.tanh(self.b(x))

    model = Branching().eval()
    with Auditor(model) as first:
        model(torch.randn(4, 3))
    second = Auditor(model)
    second.resume(first.compute())
    with second:
        model(torch.randn(5, 3))
    assert list(second.compute().layers) == ["relu", "tanh"]
    assert second.compute().never_fired == ()
    assert second.compute().examples == 9


def test_what_cannot_be_gone_on_from() -> None:
    model = mlp().eval()
    with Auditor(model) as first:
        model(batches(1)[0])
    before = first.compute()
    with pytest.raises(RuntimeError, match="expected an auditor that has seen nothing"):
        first.resume(before)
    for options, message in (
        ({"threshold": 0.5}, r"audit: expected threshold 0\.5, got 0\.0"),
        ({"histogram": True}, "audit: expected histogram True, got False"),
    ):
        with pytest.raises(ValueError, match=message):
            Auditor(model, **options).resume(before)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='mode: expected "train" or "eval", got \'training\''):
        Auditor(model).resume(before, "training")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"audit: expected an Audit, got str; neurocensus\.load a file"):
        Auditor(model).resume("x")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match='expected one of eval mode, got one of training mode; give mode="train"'
    ):
        Auditor(model).resume(by_hand(mlp(), batches(1)))
    other = Auditor(nn.Sequential(nn.Linear(3, 5), nn.Tanh()).eval())
    other.resume(before)
    with (
        other,
        pytest.raises(ValueError, match="layer '1': expected the kind to be ReLU, as before, got Tanh"),
    ):
        other.model(batches(1)[0])
    with pytest.raises(ValueError, match="audit: expected model 'Linear', got 'Sequential'"):
        Auditor(nn.Linear(3, 3)).resume(before)
    wider = Auditor(nn.Sequential(nn.Linear(3, 7), nn.ReLU()).eval())
    wider.resume(before)
    with (
        wider,
        pytest.raises(ValueError, match="layer '1': expected the number of units to be 5, as before, got 7"),
    ):
        wider.model(batches(1)[0])


def test_no_warning_of_ours_in_a_plain_loop() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = mlp()
        with Auditor(model, every_n_steps=2) as auditor:
            for x in batches(4):
                model(x)
                auditor.step()
        auditor.compute()
