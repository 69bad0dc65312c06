from __future__ import annotations

import copy
import io
import pickle
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import neurocensus as nc
from neurocensus import deletion

from .models import MODELS, images, plain, seeded


def bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.int32)


@given(
    st.sampled_from(sorted(MODELS)),
    st.integers(0, 30),
    st.sampled_from(["activations", "modules"]),
    st.booleans(),
)
@settings(max_examples=12)
def test_masking_dead_units_changes_no_bit(name: str, seed: int, layers: Any, channels_last: bool) -> None:
    """Whatever is dead, wherever it is audited, in whichever order the values lie in memory."""
    model, x = seeded(name, seed), images()
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    audit = nc.audit(model, [x], layers=layers)
    dead = deletion.dead_units(audit)
    with torch.inference_mode():
        output = model(x)
        with deletion.masked(model, dead) as mask:
            held = model(x)
    assert mask.count == audit.dead
    assert torch.equal(bits(output), bits(held))
    found = deletion.verify(model, dead, [x])
    assert found.equal
    assert (found.units, found.examples, found.max_abs_difference, found.first) == (audit.dead, 12, 0.0, None)


def test_the_models_have_dead_units_to_mask() -> None:
    for name in MODELS:
        audit = nc.audit(seeded(name), [images()])
        assert audit.dead >= 2, name
    assert nc.audit(seeded("residual", 3), [images()]).layers["3.relu:2"].dead, "a later call of a ReLU"


@given(st.integers(0, 30))
@settings(max_examples=5)
def test_the_masked_units_are_zero_on_any_data(seed: int) -> None:
    model = seeded("residual", seed)
    dead = deletion.dead_units(nc.audit(model, [images()]))
    with deletion.masked(model, dead):
        on_noise = nc.audit(model, [100 * torch.randn(8, 3, 8, 8)])
    for layer, units in dead.items():
        assert on_noise.layers[layer].state.dead[units].all()


# Exactly which values


def held(module: nn.Module, dead: dict[str, Any], x: Tensor, **more: Any) -> Tensor:
    with deletion.masked(module, dead, **more):
        out: Tensor = module(x)
    return out


def test_only_the_units_are_zero_on_their_axis() -> None:
    x = torch.randn(3, 4, 3, 5)
    for axis in range(4):
        out = held(nn.Sequential(nn.Identity()), {"0": [0, 2]}, x, unit_axis=axis)
        moved, plain_ = out.movedim(axis, 0), x.movedim(axis, 0)
        assert not moved[[0, 2]].any()
        rest = [unit for unit in range(x.shape[axis]) if unit not in (0, 2)]
        assert torch.equal(moved[rest], plain_[rest])


@pytest.mark.parametrize(
    ("module", "shape", "axis"),
    [
        (nn.Linear(5, 4), (2, 3, 5), 2),
        (nn.LayerNorm(5), (2, 3, 5), 2),
        (nn.Conv1d(3, 4, 1), (2, 3, 5), 1),
        (nn.BatchNorm1d(3), (2, 3, 5), 1),
        (nn.MaxPool1d(1), (2, 3, 5), 1),
        (nn.ReLU(), (2, 3), 1),
        (nn.ReLU(), (2, 3, 5), 2),
        (nn.ReLU(), (2, 3, 5, 5), 1),
    ],
)
def test_units_given_by_hand_are_where_the_module_puts_them(module: nn.Module, shape: Any, axis: int) -> None:
    out = held(nn.Sequential(module), {"0": [1]}, torch.rand(shape) + 1)
    zero = [k for k in range(out.dim()) if not out.movedim(k, 0)[1].any()]
    assert zero == [axis]


def test_an_audits_own_axis_is_used() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv1d(3, 5, 1), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.relu(self.conv(x))  # three axes, units on the second
            return out

    model = Turned()
    with torch.no_grad():
        model.conv.bias[2] = -100
    dead = deletion.dead_units(nc.audit(model, [torch.rand(4, 3, 7)]))
    assert dead.places["relu"].axis == 1
    assert deletion.verify(model, dead, [torch.rand(4, 3, 7)]).equal
    with torch.no_grad():
        model.conv.bias[2] = 100
    assert not held(model, dead, torch.rand(4, 3, 7))[:, 2].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_zeros_keep_their_sign_and_nothing_survives(dtype: torch.dtype) -> None:
    values = torch.tensor([[0.0, -0.0, 3.0, -3.0, torch.inf, -torch.inf, torch.nan]], dtype=dtype)
    out = held(nn.Sequential(nn.Identity()), {"0": range(7)}, values)
    assert out.dtype == dtype
    assert torch.equal(out, torch.zeros_like(values))
    assert torch.signbit(out[0, :6]).tolist() == [False, True, False, True, False, True]


def test_layout_in_memory_is_kept() -> None:
    x = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    out = held(nn.Sequential(nn.Identity()), {"0": [1]}, x)
    assert out.stride() == x.stride()


# Training


def test_masks_hold_in_training_and_pass_no_gradient() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        model[0].bias += 10  # all alive
    x = torch.rand(5, 3)
    with torch.inference_mode(), deletion.masked(model, {"1": [0, 2]}) as mask:
        model(x)  # what the mask keeps from here must serve in training too
        with torch.inference_mode(False):
            model.train()(x.clone()).sum().backward()
        assert mask.attached
    assert not model[0].weight.grad[[0, 2]].any()
    assert not model[2].weight.grad[:, [0, 2]].any()
    assert model[0].weight.grad[[1, 3]].any(dim=1).all()


def test_a_nan_in_a_masked_unit_spoils_no_gradient() -> None:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight[1] = torch.nan
    model = nn.Sequential(layer)
    with deletion.masked(model, {"0": [1]}):
        model(torch.rand(3, 2)).sum().backward()
    assert torch.isfinite(layer.weight.grad[0]).all()


def test_weights_are_saved_and_loaded_as_without_a_mask() -> None:
    model, other = plain(), plain()
    keys = list(model.state_dict())
    with deletion.masked(model, {"1": [0]}):
        assert list(model.state_dict()) == keys
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
        model.load_state_dict(other.state_dict())
        assert not nc.audit(model, [images() + 10]).layers["1"].state.max[0]


# Life of a mask


def hook_counts(model: nn.Module) -> list[tuple[int, ...]]:
    return [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._forward_hooks_always_called))
        for m in model.modules()
    ]


def test_a_mask_leaves_nothing_behind() -> None:
    model = seeded("residual")
    before, x = hook_counts(model), images()
    mask = deletion.Mask(model, {"2": [0], "3.relu:2": [1]})
    assert not mask.attached
    assert hook_counts(model) == before
    mask.attach()
    assert mask.attached
    assert hook_counts(model) != before
    assert repr(mask) == "<Mask of 2 units in 2 layers, attached>"
    with pytest.raises(RuntimeError, match="this mask is attached already"):
        mask.attach()
    mask.remove()
    mask.remove()
    assert hook_counts(model) == before
    with pytest.raises(RuntimeError, match="size"), deletion.masked(model, {"2": [0]}):
        model(x[:, :2])
    assert hook_counts(model) == before


def test_a_mask_attached_before_the_block_is_off_after_it() -> None:
    model = plain()
    with deletion.Mask(model, {"1": [0]}).attach() as mask:
        assert mask.attached
    assert not mask.attached


def test_two_masks_hold_both() -> None:
    model, x = nn.Sequential(nn.Identity()), torch.rand(2, 3) + 1
    with deletion.masked(model, {"0": [0]}), deletion.masked(model, {"0": [2]}):
        assert (model(x) > 0).tolist() == [[False, True, False]] * 2
    assert (model(x) > 0).all()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_and_pickles_are_masked_until_unmasked(copied: Any) -> None:
    model = seeded("residual", 3)
    x = images() + 5
    with deletion.masked(model, {"2": [0, 1], "3.relu:2": [2]}):
        inside = model(x)
        twin = copied(model)
        hooks = list(model[2]._forward_hooks.values())
        assert b"_rebuild_tensor" not in pickle.dumps(hooks), "no tensor of this machine's devices"
    outside = model(x)
    assert not torch.equal(inside, outside)
    assert torch.equal(twin(x), inside), "the later call too"
    assert torch.equal(twin(x), inside)
    assert deletion.unmask(twin) == 3
    assert torch.equal(twin(x), outside)
    assert deletion.unmask(twin) == 0
    assert hook_counts(twin) == hook_counts(seeded("residual", 3))


def test_unmask_leaves_other_hooks() -> None:
    model, seen = plain(), []
    model[1].register_forward_hook(lambda *_: seen.append(1))
    with deletion.masked(model, {"1": [0]}):
        deletion.unmask(model)
        model(images())
    assert seen == [1]


# Calls


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.part = nn.Sequential(nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.relu(x), self.relu(x), self.part(x)])


def which_zero(output: Tensor) -> list[list[bool]]:
    return [[not part[:, unit].any() for unit in range(part.shape[1])] for part in output]


def test_each_call_has_its_own_units() -> None:
    model, x = Twice(), torch.rand(2, 3) + 1
    with deletion.masked(model, {"relu": [0], "relu:2": [1, 2]}):
        for _ in range(2):
            assert which_zero(model(x)) == [[True, False, False], [False, True, True], [False] * 3]
    with deletion.masked(model, {"relu:2": [0]}):
        assert which_zero(model(x))[:2] == [[False] * 3, [True, False, False]]


def test_calls_are_counted_anew_after_an_error() -> None:
    model, x = Twice(), torch.rand(2, 3) + 1
    with deletion.masked(model, {"relu": [0], "part.0": [1]}):
        expected = which_zero(model(x))
        with pytest.raises(TypeError):
            model(None)
        assert which_zero(model(x)) == expected
        for error in (ValueError, KeyboardInterrupt):

            def broken(*_: Any, error: type[BaseException] = error) -> None:
                raise error

            handle = model.part.register_forward_pre_hook(broken)
            with pytest.raises(error):
                model(x)
            handle.remove()
            assert which_zero(model(x)) == expected


def test_a_part_that_is_called_by_itself_is_masked() -> None:
    model, x = seeded("residual", 3), torch.rand(2, 6, 4, 4) + 5
    with deletion.masked(model, {"3.relu": [0], "3.relu:2": [1]}):
        for _ in range(2):
            assert not model[3](x)[:, 1].any()
            assert model[3](x)[:, 0].any()


def test_a_layer_run_again_in_the_backward_pass_is_masked_if_it_runs_once() -> None:
    class Checkpointed(nn.Module):
        def __init__(self, times: int) -> None:
            super().__init__()
            self.inner, self.times = nn.Sequential(nn.Linear(3, 3), nn.Tanh()), times

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(self.times):
                x = checkpoint(self.inner, x, use_reentrant=False)
            return x

    torch.manual_seed(0)
    model, x = Checkpointed(1), torch.rand(2, 3)
    with deletion.masked(model, {"inner.1": [0]}):
        model(x).sum().backward()
        found = model.inner[0].weight.grad.clone()
        model.zero_grad()
        model.inner(x).sum().backward()
    assert torch.equal(found, model.inner[0].weight.grad)
    model = Checkpointed(2)
    with (
        deletion.masked(model, {"inner.1": [0]}),
        pytest.raises(RuntimeError, match=r"'inner\.1' runs several times .* computed again in the backward"),
    ):
        model(x).sum().backward()


def test_two_threads_at_once_are_told() -> None:
    class Waiting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.sum() > 0:
                entered.set()
                assert go.wait(10)
            return x

    model, entered, go = nn.Sequential(Waiting()), threading.Event(), threading.Event()
    with deletion.masked(model, {"0": [0]}):
        other = threading.Thread(target=lambda: model(torch.ones(1, 2)))
        other.start()
        try:
            assert entered.wait(10)
            with pytest.raises(RuntimeError, match="two threads at once"):
                model(torch.zeros(1, 2))
        finally:
            go.set()
            other.join()
        model(torch.zeros(1, 2))


def test_an_audit_sees_the_masked_values() -> None:
    model = seeded("plain", kill=0.0)
    with deletion.masked(model, {"1": [2], "8": [0, 1]}):
        audit = nc.audit(model, [images() + 3])
    assert 2 in audit.layers["1"].dead_units
    assert {0, 1} <= set(audit.layers["8"].dead_units.tolist())


def test_a_compiled_model_is_refused_and_a_masked_one_can_be_compiled() -> None:
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.rand(2, 3)
    with pytest.raises(RuntimeError, match="mask the model first, then compile it"):
        deletion.Mask(torch.compile(model, backend="eager"), {"1": [0]}).attach()  # type: ignore[arg-type]
    with deletion.masked(model, {"1": [0, 3]}):
        expected = model(x)
        compiled = torch.compile(model, backend="eager")
        assert torch.equal(compiled(x), expected)
        assert torch.equal(compiled(x), expected)
    torch._dynamo.reset()
    in_place = nn.Sequential(nn.Linear(3, 4))
    in_place.compile(backend="eager")
    with pytest.raises(RuntimeError, match="mask the model first"):
        deletion.Mask(in_place, {"0": [0]}).attach()


def test_a_wrapped_model_goes_by_the_names_inside() -> None:
    model = nn.DataParallel(nn.Sequential(nn.Identity()))
    with deletion.masked(model, {"0": [0]}):
        assert not model.module(torch.ones(2, 3))[:, 0].any()


# What cannot be masked


class Functions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) - 100)


def test_a_function_is_refused_with_what_to_do() -> None:
    model = Functions()
    dead = deletion.dead_units(nc.audit(model, [images()]))
    assert list(dead) == ["relu"]
    with pytest.raises(
        ValueError, match=r"dead: 'relu' is a function called inside 'Functions'.*nn\.ReLU\(\)"
    ):
        deletion.Mask(model, dead)
    with pytest.raises(ValueError, match=r"'inner\.relu:2' is a function called inside 'inner'"):
        deletion.Mask(nn.ModuleDict({"inner": model}), {"inner.relu:2": [0]})


def test_an_unknown_layer_is_an_error_with_the_closest_names() -> None:
    with pytest.raises(ValueError, match=r"dead: the model has no layer '3\.conv3'\. Did you mean '3\.conv"):
        deletion.Mask(seeded("residual"), {"3.conv3": [0]})


def test_the_models_own_output_goes_by_its_class_name() -> None:
    model = nn.Linear(2, 3)
    assert not held(model, {"Linear": [1]}, torch.rand(4, 2))[:, 1].any()


@pytest.mark.parametrize(
    ("dead", "error", "message"),
    [
        (
            {"1": [6]},
            ValueError,
            r"layer '1': expected at least 7 units on axis 1, got an output of shape \(12, 6",
        ),
        ({"1": [-1]}, ValueError, r"dead\['1'\]: expected indices from 0, got -1"),
        ({"1": [0.5]}, TypeError, r"dead\['1'\]: expected indices of units \(integers\), got \[0.5\]"),
        ({"1": 3}, TypeError, r"dead\['1'\]: expected indices of units"),
        ({"1": np.array([True, False])}, TypeError, r"expected indices of units"),
        ({"1": [True, False]}, TypeError, r"got bools; take numpy\.flatnonzero"),
        ({1: [0]}, TypeError, "dead: expected names of layers, got int"),
        ([1], TypeError, r"dead: expected units by layer, as dead_units\(audit\) gives them, got list"),
    ],
)
def test_bad_units_are_told(dead: Any, error: type, message: str) -> None:
    model = plain()
    with pytest.raises(error, match=message), deletion.masked(model, dead):
        model(images())


def test_a_mask_of_another_model_is_told() -> None:
    model = seeded("plain")
    dead = deletion.dead_units(nc.audit(model, [images()]), layers=["1"])
    model[0], model[3] = nn.Conv2d(3, 7, 3), nn.Conv2d(7, 5, 3)
    with (
        pytest.raises(
            ValueError, match=r"layer '1': expected 6 units on axis 1, got an output of shape \(12, 7"
        ),
        deletion.masked(model, dead),
    ):
        model(images())


def test_an_axis_that_is_not_there_is_told() -> None:
    model = nn.Sequential(nn.ReLU())
    with pytest.raises(
        ValueError, match=r"expected an output with axis 1, got shape \(3,\); give unit_axis="
    ):
        held(model, {"0": [0]}, torch.rand(3))


def test_outputs_that_are_no_tensor_of_reals_are_told() -> None:
    with pytest.raises(
        TypeError, match="layer '0': a mask needs one tensor of real numbers as output, got tuple"
    ):
        held(nn.Sequential(nn.LSTM(2, 3)), {"0": [0]}, torch.rand(4, 1, 2))
    with pytest.raises(TypeError, match=r"got torch\.int64"):
        held(nn.Sequential(nn.Identity()), {"0": [0]}, torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"model: expected a torch\.nn\.Module, got int"):
        deletion.Mask(3, {})  # type: ignore[arg-type]


def test_no_units_mean_no_hooks() -> None:
    model = plain()
    before = hook_counts(model)
    with deletion.masked(model, {"1": []}) as mask:
        assert (mask.count, mask.units) == (0, {})
        assert hook_counts(model) == before
