"""`audit` end to end: the reference's numbers, whatever the split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from neurocensus import reference
from neurocensus.auditor import Auditor, audit

from .capture.models import assert_is, mlp

# The numbers.


def batches_of(x: Tensor, sizes: list[int]) -> list[Tensor]:
    return list(x.split(sizes))


@st.composite
def nets(draw: st.DrawFn) -> tuple[nn.Sequential, tuple[int, ...], list[tuple[str, int]]]:
    """A small network of convolutions or dense layers, its input's shape, and where its points are."""
    layers: list[nn.Module] = []
    points: list[tuple[str, int]] = []
    convolutional = draw(st.booleans())
    width = draw(st.integers(1, 4))
    shape = (width, 6, 6) if convolutional else (width,)

    def point(layer: nn.Module, axis: int) -> None:
        layers.append(layer)
        points.append((str(len(layers) - 1), axis))

    activation = st.sampled_from([nn.ReLU, lambda: nn.ReLU(inplace=True), nn.Tanh, nn.ReLU6, lambda: None])
    if convolutional:
        for _ in range(draw(st.integers(1, 2))):
            out = draw(st.integers(1, 4))
            layers.append(nn.Conv2d(width, out, 3, padding=1))
            after = draw(activation)()
            if after is None:
                points.append((str(len(layers) - 1), 1))
            else:
                if draw(st.booleans()):
                    layers.append(nn.BatchNorm2d(out))
                point(after, 1)
            width = out
        if draw(st.booleans()):
            point(nn.MaxPool2d(2), 1)
            width *= 9
        else:
            width *= 36
        layers.append(nn.Flatten())
    for _ in range(draw(st.integers(0, 2))):
        out = draw(st.integers(1, 5))
        layers.append(nn.Linear(width, out))
        after = draw(activation)()
        if after is None:
            points.append((str(len(layers) - 1), 1))
        else:
            point(after, 1)
        width = out
    point(nn.Linear(width, 3), 1)
    return nn.Sequential(*layers), shape, points


@settings(max_examples=40)
@given(nets(), st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(sum), st.integers(0, 2**31))
def test_counts_are_those_of_the_reference_however_the_data_is_split(
    net: tuple[nn.Sequential, tuple[int, ...], list[tuple[str, int]]], sizes: list[int], seed: int
) -> None:
    """Pitfalls 4 and 13: in-place activations; batches of one, of zero, and a shorter last one."""
    model, shape, points = net
    torch.manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(sum(sizes), *shape)
    result = audit(model, batches_of(x, sizes), progress=False)
    assert [(name, layer.unit_axis) for name, layer in result.layers.items()] == points
    assert result.examples == len(x)

    outputs: list[dict[str, Tensor]] = []
    with torch.inference_mode():
        model.eval()
        for batch in batches_of(x, sizes):
            seen: dict[str, Tensor] = {}
            for name, layer in model.named_children():
                batch = layer(batch.clone())
                seen[name] = batch
            outputs.append(seen)
    for name, axis in points:
        collected = torch.cat([seen[name] for seen in outputs])
        assert_is(result.layers[name], reference.census(collected.double().numpy(), axis))


def test_argmax_points_to_the_example_in_the_data() -> None:
    """A layer that does not fire in some batch keeps the right indices."""

    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.on, self.off = nn.ReLU(), nn.ReLU()

        def forward(self, x: Tensor) -> Any:
            return self.on(x) if x.sum() > 0 else self.off(x)

    data = [
        torch.full((2, 1), -1.0),
        torch.tensor([[1.0], [5.0], [2.0]]),
        torch.full((1, 1), -1.0),
        torch.ones(1, 1),
    ]
    result = audit(Gate(), data, progress=False)
    assert result.layers["on"].state.argmax.tolist() == [3]
    assert (result.layers["on"].state.examples, result.layers["off"].state.examples) == (4, 3)
    assert result.examples == 7


def test_a_forward_that_calls_the_model_twice_keeps_the_index_of_the_data() -> None:
    data = [torch.zeros(2, 3), torch.zeros(2, 3)]
    data[1][1] = 1
    result = audit(
        nn.Sequential(nn.ReLU()), data, forward=lambda model, x: (model(x / 2), model(x)), progress=False
    )
    assert result.layers["0"].state.argmax.tolist() == [3, 3, 3]
    assert (result.examples, result.layers["0"].state.examples) == (4, 8)


def test_rows_that_are_not_examples_are_numbered_by_themselves() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Any:
            return self.relu(x[x < 2][:, None])  # picked by a mask: whose they are is not known

    data = [torch.zeros(2, 3, 1), torch.zeros(2, 3, 1)]
    data[1][1, 2, 0] = 1
    layer = audit(Rows(), data, progress=False).layers["relu"]
    assert (layer.state.argmax.tolist(), layer.state.examples) == ([11], 12)


# Masks.


class Tokens(nn.Module):
    """Per token, per sequence, and on another number of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.pooled, self.other = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Any:
        return self.token(x), self.pooled(x.sum(1)), self.other(x[:, 1:])


def test_masked_positions_are_not_counted() -> None:
    """Pitfall 12: padding and special tokens hide dead units."""
    x = torch.randn(4, 5, 3)
    x[:, 3:] = 100.0
    keep = torch.ones(4, 5, dtype=torch.int64)
    keep[:, 3:] = 0
    keep[2] = 0
    batches = [{"x": a, "attention_mask": m} for a, m in zip(x.split(2), keep.split(2), strict=True)]
    model = Tokens()
    with pytest.warns(UserWarning, match=r"mask does not fit .*other \(2, 4, 3\)") as caught:
        result = audit(model, batches, mask="attention_mask", progress=False)
    assert len(caught) == 1
    masked = reference.census(x.relu().double().numpy(), 2, mask=keep.bool().numpy())
    assert_is(result.layers["token"], masked)
    assert result.layers["token"].state.max.max() < 100
    pooled = x.sum(1).relu().double().numpy()
    assert_is(result.layers["pooled"], reference.census(pooled, 1, mask=keep.bool().any(1).numpy()))
    assert_is(result.layers["other"], reference.census(x[:, 1:].relu().double().numpy(), 2))
    assert {n: layer.masked for n, layer in result.layers.items()} == {
        "token": True,
        "pooled": True,
        "other": False,
    }

    by_function = audit(
        model,
        [batches[0]],
        layers=["token"],
        mask=lambda batch: batch["attention_mask"].bool(),
        progress=False,
    )
    assert by_function.layers["token"].state.values == 6


def test_the_mask_warning_names_only_layers_that_were_counted() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with pytest.warns(UserWarning, match=r"mask does not fit .*: 1 \(2, 4, 2\), 2 \(2, 4, 2\)$"):
        audit(model, [torch.ones(2, 4, 2)], mask=lambda x: torch.ones(2, 3) > 0, progress=False)


def test_a_mask_of_other_examples() -> None:
    with pytest.raises(ValueError, match=r"mask: expected one row for each of the 2 examples .*\(3,\)"):
        audit(mlp(), [torch.ones(2, 3)], mask=lambda _: torch.ones(3) > 0, progress=False)


def test_a_mask_key_that_is_not_there() -> None:
    with pytest.raises(
        ValueError, match=r"mask: expected batches that are dicts with the key 'm', got keys \['x'\]"
    ):
        audit(Tokens(), [{"x": torch.ones(1, 2, 3)}], mask="m", progress=False)


# Options.


def test_options_reach_every_layer() -> None:
    x = torch.randn(6, 3)
    result = audit(mlp(), [x], threshold=0.25, histogram=True, threads=1, progress=False)
    assert result.threshold == 0.25
    for layer in result.layers.values():
        assert layer.state.threshold == 0.25
        assert layer.state.histogram is not None
        assert (layer.dtype, layer.training, layer.calls, layer.example_axis) == ("float32", False, 1, 0)
        assert layer.state.histogram.sum() == layer.state.values * layer.state.units
    assert audit(mlp().bfloat16(), [x.bfloat16()], progress=False).layers["1"].dtype == "bfloat16"
    assert audit(mlp().double(), [x.double()], progress=False).layers["1"].dtype == "float64"
    assert all(layer.state.histogram is None for layer in audit(mlp(), [x], progress=False).layers.values())
    with pytest.raises(ValueError, match="threshold"):
        Auditor(mlp(), threshold=-1.0)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"max_examples": 0}, ValueError, "max_examples: expected at least 1, got 0"),
        ({"max_examples": 2.5}, TypeError, "max_examples: expected an integer, got float"),
        ({"mask": torch.ones(2)}, TypeError, "mask: expected a key .* got a tensor of shape"),
        ({"forward": "model"}, TypeError, "forward: expected a function .* got str"),
        ({"forward": lambda model, batch: None}, ValueError, "forward: expected it to call the model"),
        ({"device": "elsewhere"}, ValueError, "device: expected one that is available here, got elsewhere"),
        ({"device": "cuda:99"}, ValueError, "device: expected one that is available here, got cuda:99"),
        ({"threads": 0}, ValueError, "^threads: expected at least 1"),
        ({"unit_axis": "1"}, TypeError, "unit_axis: expected an axis .* got str"),
        ({"unit_axis": {"1": None}}, TypeError, "unit_axis: expected an axis .* got NoneType"),
        ({"unit_axis": {"1.0": 1}}, ValueError, "unit_axis: the model has no layer '1.0'.*Valid names"),
        ({"example_axis": {"4": 0}}, ValueError, "example_axis: the model has no layer '4'"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], error: type[Exception], words: str) -> None:
    model = mlp()
    with pytest.raises(error, match=words):
        audit(model, [torch.zeros(2, 3)], progress=False, **options)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_unknown_layers() -> None:
    with pytest.raises(
        ValueError, match=r"layers: the model has no layer '4'.*Valid names: Sequential, 0, 1"
    ):
        audit(mlp(), [torch.ones(1, 3)], layers=["4"], progress=False)
    with pytest.raises(ValueError, match=r"layers: the model has no layer '1.relu'"):
        audit(mlp(), [torch.ones(1, 3)], layers=["1.relu"], progress=False)
    with pytest.raises(ValueError, match=r"layers: 'activations' chose nothing .*Identity"):
        audit(nn.Identity(), [torch.ones(1, 3)], progress=False)


def test_unbatched_input_is_told() -> None:
    with pytest.raises(
        ValueError, match=r"(?s)chose nothing.*\n  1: expected an axis of examples and one of units"
    ):
        audit(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU()), [torch.ones(3, 4, 4)], progress=False)


class Stream(IterableDataset[Tensor]):
    """Data of unknown length."""

    def __iter__(self) -> Iterator[Tensor]:
        return iter(torch.randn(3, 3))


def test_the_progress_bar_shows_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    audit(mlp(), [torch.randn(2, 3)])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    audit(mlp(), iter([torch.randn(2, 3)]))
    assert "audit" in capsys.readouterr().err
    assert audit(mlp(), DataLoader(Stream(), batch_size=2)).examples == 3  # has __len__, which raises
