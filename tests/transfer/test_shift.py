from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from neurocensus import transfer
from neurocensus.transfer import TensorShift, WeightShift

FLOATS = st.floats(-10, 10, width=32)
MATRICES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=5).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, shape, elements=FLOATS), hnp.arrays(np.float32, shape, elements=FLOATS)
    )
)


def shift_of(old: Any, new: Any) -> TensorShift:
    return transfer.weight_shift({"a.weight": old}, {"a.weight": new}).tensors["a.weight"]


def by_hand(old: np.ndarray[Any, Any], new: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Relative distance and cosine from correctly rounded sums."""
    a, b = old.astype(np.float64).ravel().tolist(), new.astype(np.float64).ravel().tolist()
    norm = math.sqrt(math.fsum(x * x for x in a))
    after = math.sqrt(math.fsum(x * x for x in b))
    distance = math.sqrt(math.fsum((y - x) ** 2 for x, y in zip(a, b, strict=True)))
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    relative = distance / norm if norm else math.nan
    cosine = dot / norm / after if norm and after else math.nan
    return relative, cosine


def close(found: Any, wanted: Any) -> bool:
    return bool(np.allclose(found, wanted, rtol=1e-13, atol=1e-13, equal_nan=True))


@given(MATRICES)
def test_distances_and_cosines_are_those_of_float64(pair: tuple[Any, Any]) -> None:
    old, new = pair
    found = shift_of(old, new)
    assert close((found.relative_l2, found.cosine), by_hand(old, new))
    rows = [by_hand(a, b) for a, b in zip(old, new, strict=True)]
    assert close(found.unit_relative_l2, [relative for relative, _ in rows])
    assert close(found.unit_cosine, [cosine for _, cosine in rows])


@given(MATRICES, st.integers(-300, 300))
def test_scale_does_not_matter_up_to_the_ends_of_float64(pair: tuple[Any, Any], power: int) -> None:
    old, new = (np.ldexp(array.astype(np.float64), power * 3) for array in pair)
    if not all(np.array_equal(np.ldexp(a, -power * 3), b) for a, b in zip((old, new), pair, strict=True)):
        return  # the numbers themselves went over the ends
    found, plain = shift_of(old, new), shift_of(*pair)
    assert found.relative_l2 == plain.relative_l2 or (
        math.isnan(found.relative_l2) and math.isnan(plain.relative_l2)
    )
    assert close(found.unit_cosine, plain.unit_cosine)


@given(MATRICES)
def test_what_did_not_move_has_distance_zero_and_cosine_one(pair: tuple[Any, Any]) -> None:
    old = pair[0]
    found = shift_of(old, old.copy())
    dead = ~old.any(axis=1)
    assert np.array_equal(found.unit_relative_l2, np.where(dead, np.nan, 0.0), equal_nan=True)
    assert np.array_equal(found.unit_cosine, np.where(dead, np.nan, 1.0), equal_nan=True)


def test_a_turn_by_a_tiny_angle_is_told_from_none() -> None:
    old, angle = torch.tensor([[1.0, 0.0]], dtype=torch.float64), 1e-7
    found = shift_of(old, torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64))
    assert 1 - found.cosine == pytest.approx(angle**2 / 2, rel=0.02)


def test_opposites_have_cosine_minus_one() -> None:
    assert shift_of(torch.tensor([[3.0, 4.0]]), torch.tensor([[-3.0, -4.0]])).cosine == -1.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_other_types_are_compared_by_their_exact_values(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    old, new = torch.randn(3, 4, dtype=dtype), torch.randn(3, 4, dtype=dtype)
    found = shift_of(old, new)
    a, b = (x.to(torch.complex128 if dtype.is_complex else torch.float64) for x in (old, new))
    assert found.relative_l2 == pytest.approx(float((b - a).norm() / a.norm()), rel=1e-13)


def test_large_tensors_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    old, new = torch.randn(7, 5, 3), torch.randn(7, 5, 3)
    whole = shift_of(old, new)
    monkeypatch.setattr("neurocensus.transfer.shift._CHUNK", 20)
    parts = shift_of(old, new)
    assert parts.relative_l2 == whole.relative_l2
    assert np.array_equal(parts.unit_cosine, whole.unit_cosine)


def test_zeros_have_no_relative_distance_and_no_direction() -> None:
    found = shift_of(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert np.array_equal(found.unit_relative_l2, [np.nan, 1.0], equal_nan=True)
    assert np.isnan(found.unit_cosine).all()
    assert found.relative_l2 == pytest.approx(math.sqrt(2))


def test_values_that_are_not_finite_give_nan_and_no_warning() -> None:
    found = shift_of(torch.tensor([[1.0, np.inf], [1.0, 1.0]]), torch.tensor([[1.0, np.inf], [1.0, 2.0]]))
    assert math.isnan(found.unit_relative_l2[0])
    assert found.unit_relative_l2[1] == pytest.approx(1 / math.sqrt(2))


# A unit is an index along the axis of the layer's output that holds its units: change some units' weights,
# and the outputs that change are theirs.

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...], int]] = {
    "linear": (nn.Linear(4, 5), (3, 4), -1),
    "conv": (nn.Conv2d(4, 6, 3), (2, 4, 5, 5), 1),
    "grouped conv": (nn.Conv1d(4, 6, 3, groups=2), (2, 4, 9), 1),
    "depthwise conv": (nn.Conv2d(4, 8, 3, groups=4), (2, 4, 5, 5), 1),
    "transposed conv": (nn.ConvTranspose2d(4, 6, 3), (2, 4, 5, 5), 1),
    "grouped transposed conv": (nn.ConvTranspose1d(4, 6, 3, groups=2), (2, 4, 5), 1),
    "batch norm": (nn.BatchNorm2d(4), (3, 4, 2, 2), 1),
    "group norm": (nn.GroupNorm(2, 4), (3, 4, 2, 2), 1),
    "layer norm": (nn.LayerNorm((3, 4)), (5, 3, 4), -1),
    "bilinear": (nn.Bilinear(3, 3, 4), (2, 3), -1),
    "embedding": (nn.Embedding(6, 4), (), -1),
}


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data())
def test_units_are_those_of_the_layers_output(name: str, data: st.DataObject) -> None:
    layer, shape, axis = LAYERS[name]
    inputs = torch.arange(6) if name == "embedding" else torch.rand(shape, generator=torch.Generator()) + 0.1
    arguments = (inputs, inputs) if name == "bilinear" else (inputs,)
    before, output = transfer.snapshot(layer), layer(*arguments).detach()
    old = layer.weight.detach().clone()
    changed = data.draw(st.lists(st.integers(0, old.numel() - 1), max_size=3))
    with torch.no_grad():
        layer.weight.view(-1)[changed] += 10.0
        new_output = layer(*arguments)
        shift = transfer.weight_shift(before, layer.state_dict(), model=layer).tensors["weight"]
        layer.weight.copy_(old)
    moved = (new_output - output).abs().movedim(axis, 0).flatten(1).amax(1) > 1e-3
    assert np.array_equal(shift.unit_relative_l2 > 0, moved.numpy())
    assert shift.units == output.shape[axis]


def test_the_parts_of_a_model_are_told_apart() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LSTM(4, 2), nn.MultiheadAttention(4, 2))
    model.register_buffer("mean", torch.zeros(3))
    before = transfer.snapshot(model)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor += 1
    shift = transfer.weight_shift(before, model)
    kinds = {name: tensor.kind for name, tensor in shift.tensors.items()}
    assert kinds == {
        "mean": "buffer", "0.weight": "weight", "0.bias": "bias", "1.weight": "weight", "1.bias": "bias",
        "1.running_mean": "buffer", "1.running_var": "buffer", "2.weight_ih_l0": "weight",
        "2.weight_hh_l0": "weight", "2.bias_ih_l0": "bias", "2.bias_hh_l0": "bias",
        "3.in_proj_weight": "weight", "3.in_proj_bias": "bias", "3.out_proj.weight": "weight",
        "3.out_proj.bias": "bias",
    }  # fmt: skip
    assert list(shift.layers) == ["0", "1", "2", "3", "3.out_proj"]
    assert shift.tensors["0.weight"].shape == (4, 3, 3, 3)
    assert not shift.left_out


def test_without_a_model_names_and_first_axes_decide() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(2, 3, 1), nn.BatchNorm2d(3))
    before = transfer.snapshot(model)
    with torch.no_grad():
        model[0].weight += 1
    alone = transfer.weight_shift(before, model.state_dict())
    assert alone.tensors["0.weight"].units == 2
    assert alone.tensors["1.running_mean"].kind == "buffer"
    assert transfer.weight_shift(before, model).tensors["0.weight"].units == 3


def test_modules_and_state_dicts_are_the_same_to_it() -> None:
    old, new = nn.Linear(2, 3), nn.Linear(2, 3)
    wanted = transfer.weight_shift(old, new).rows("unit")
    assert transfer.weight_shift(old.state_dict(), nn.DataParallel(new)).rows("unit") == wanted
    as_arrays = {name: tensor.numpy() for name, tensor in new.state_dict().items()}
    assert transfer.weight_shift(old, as_arrays).rows("unit") == wanted


def test_a_scalar_is_one_unit() -> None:
    found = shift_of(torch.tensor(2.0), torch.tensor(3.0))
    assert (found.units, found.shape, found.relative_l2) == (1, (), 0.5)


def test_an_empty_tensor_has_nothing_to_say() -> None:
    found = shift_of(torch.zeros(0, 3), torch.zeros(0, 3))
    assert found.units == 0
    assert math.isnan(found.relative_l2)


def test_a_parametrized_weight_is_compared_by_its_parameters() -> None:
    old, new = weight_norm(nn.Linear(2, 3)), weight_norm(nn.Linear(2, 3))
    shift = transfer.weight_shift(old, new)
    assert {"parametrizations.weight.original0", "parametrizations.weight.original1"} <= shift.tensors.keys()


def test_what_cannot_be_compared_is_listed() -> None:
    before = {"a.weight": torch.ones(2), "gone": torch.ones(1), "head.weight": torch.ones(1000, 4)}
    after = {"a.weight": torch.zeros(2), "new": torch.ones(1), "head.weight": torch.ones(2, 4)}
    shift = transfer.weight_shift(before, after)
    assert shift.left_out == {
        "gone": "only before",
        "new": "only after",
        "head.weight": "shape (1000, 4) before, (2, 4) after",
    }
    assert "not compared: gone: only before" in str(shift)


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected tensors of the same names and shapes, got 'a' and 'b'"):
        transfer.weight_shift({"a": torch.ones(1)}, {"b": torch.ones(1)})


def test_a_state_dict_that_changed_along_is_found_out() -> None:
    model = nn.Linear(2, 2)
    before = model.state_dict()
    with torch.no_grad():
        model.weight += 1
    with pytest.raises(ValueError, match=r"same memory .*snapshot\(model\)"):
        transfer.weight_shift(before, model)


def test_a_shared_part_may_stay_shared() -> None:
    part = nn.Linear(2, 2)
    old, new = nn.Sequential(part, nn.Linear(2, 2)), nn.Sequential(part, nn.Linear(2, 2))
    assert transfer.weight_shift(old, new).tensors["0.weight"].relative_l2 == 0


def test_wrong_types_are_told() -> None:
    with pytest.raises(
        TypeError, match=r"before: expected a module or a state dict, got str; a file is read by"
    ):
        transfer.weight_shift("weights.pt", nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"after\['a'\]: expected a tensor, got int"):
        transfer.weight_shift({"a": torch.ones(1)}, {"a": 3})


def moved() -> WeightShift:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    before = transfer.snapshot(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return transfer.weight_shift(before, model)


def test_rows_and_tables_have_every_tensor_and_unit() -> None:
    shift = moved()
    rows = shift.rows()
    assert [row["tensor"] for row in rows] == list(shift.tensors)
    assert rows[0]["unit_relative_l2_max"] == shift.tensors["0.weight"].unit_relative_l2.max()
    units = shift.rows("unit")
    assert len(units) == sum(tensor.units for tensor in shift.tensors.values())
    assert units[1]["relative_l2"] == shift.tensors["0.weight"].unit_relative_l2[1]
    assert shift.table().row_count == len(rows)
    assert "0.weight" in str(shift)
    body = shift.to_dict()
    bias = next(row for row in body["tensors"] if row["tensor"] == "1.bias")
    assert bias["relative_l2"] is None, "batch norm begins with a bias of 0"
    with pytest.raises(ValueError, match="per: expected 'layer' or 'unit', got 'model'"):
        shift.rows("model")


def test_to_pandas() -> None:
    pytest.importorskip("pandas")
    assert list(moved().to_pandas("unit")["unit"][:4]) == [0, 1, 2, 3]


def test_the_picture_has_a_bar_for_each_weight() -> None:
    shift = moved()
    figure = transfer.plot_weight_shift(shift)
    figure.canvas.draw()
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "4"]
    assert [bar.get_width() for bar in axes.patches] == [t.relative_l2 for t in shift.layers.values()]


def test_a_picture_of_weights_without_a_norm_says_so() -> None:
    zeros = transfer.weight_shift({"a.weight": torch.zeros(2, 2)}, {"a.weight": torch.ones(2, 2)})
    figure = transfer.plot_weight_shift(zeros)
    figure.canvas.draw()
    assert "no norm before" in [text.get_text() for text in figure.axes[0].texts]
    biases = transfer.weight_shift({"a.bias": torch.zeros(2)}, {"a.bias": torch.ones(2)})
    with pytest.raises(ValueError, match="expected at least one weight"):
        transfer.plot_weight_shift(biases)


def test_a_snapshot_does_not_change_along() -> None:
    model = nn.Linear(2, 2)
    copy: dict[str, Tensor] = transfer.snapshot(nn.DataParallel(model))
    old = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    assert torch.equal(copy["weight"], old)
