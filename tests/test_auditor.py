"""`audit` and `Auditor` end to end: the reference's numbers, whatever the split, and nothing left behind."""

from __future__ import annotations

import pickle
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from neurocensus import reference
from neurocensus.auditor import Auditor, audit
from neurocensus.result import Audit, LayerAudit

EXACT = ("examples", "values", "nonzero", "active_examples", "max", "min", "argmax", "nan", "inf")


def assert_is(layer: LayerAudit, expected: reference.Census) -> None:
    for field in EXACT:
        np.testing.assert_array_equal(getattr(layer.state, field), getattr(expected, field), err_msg=field)
    for field in ("mean", "m2", "mean_abs"):
        np.testing.assert_allclose(
            getattr(layer.state, field), getattr(expected, field), rtol=1e-5, atol=1e-6
        )


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 2))


def batches_of(x: Tensor, sizes: list[int]) -> list[Tensor]:
    return list(x.split(sizes))


# The numbers.


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


def test_autocast_changes_what_is_counted() -> None:
    model = mlp()
    with Auditor(model) as auditor, torch.autocast("cpu", torch.bfloat16):
        model(torch.randn(2, 3))
    assert auditor.compute().layers["1"].dtype == "bfloat16"


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
            return self.relu(x.flatten(0, 1))

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


def test_the_auditors_own_mask() -> None:
    model = nn.Sequential(nn.ReLU())
    with Auditor(model) as auditor:
        auditor.mask = torch.tensor([True, False, True])
        model(torch.ones(3, 4, 2))
        auditor.mask = None
        model(torch.ones(3, 4, 2))
        with pytest.raises(TypeError, match="mask: expected a bool tensor"):
            auditor.mask = [True]  # type: ignore[assignment]
        with pytest.raises(TypeError, match=r"mask: .* got torch.float32; .* use mask == 0"):
            auditor.mask = torch.tensor([0.0, -torch.inf, 0.0])  # hides where it is not 0
    layer = auditor.compute().layers["0"]
    assert (layer.state.examples, layer.state.values, layer.masked) == (5, 8 + 12, True)


def test_the_mask_warning_names_only_layers_that_were_counted() -> None:
    model = nn.Sequential(nn.Flatten(0, 1), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with pytest.warns(UserWarning, match=r"mask does not fit .*: 2 \(8, 2\), 3 \(8, 2\)$"):
        audit(model, [torch.ones(2, 4, 2)], mask=lambda x: torch.ones(x.shape[:2]) > 0, progress=False)


def test_a_mask_of_other_examples() -> None:
    with pytest.raises(ValueError, match=r"mask: expected one row for each of the 2 examples .*\(3,\)"):
        audit(mlp(), [torch.ones(2, 3)], mask=lambda _: torch.ones(3) > 0, progress=False)


def test_a_mask_key_that_is_not_there() -> None:
    with pytest.raises(
        ValueError, match=r"mask: expected batches that are dicts with the key 'm', got keys \['x'\]"
    ):
        audit(Tokens(), [{"x": torch.ones(1, 2, 3)}], mask="m", progress=False)


# Loaders and batches.


@pytest.mark.parametrize(
    "loader",
    [
        lambda x: [x[:4], x[4:]],
        lambda x: iter(x.split(4)),
        lambda x: [(x[:4], torch.zeros(4)), (x[4:], torch.zeros(1))],
        lambda x: [[x[:4], None], [x[4:], None]],
        lambda x: [{"input": x[:4]}, {"input": x[4:]}],
        lambda x: DataLoader(TensorDataset(x, torch.zeros(5)), batch_size=4),
    ],
)
def test_kinds_of_loader(loader: Callable[[Tensor], Any]) -> None:
    model = mlp()
    x = torch.randn(5, 3)
    result = audit(model, loader(x), progress=False)
    assert_is(result.layers["1"], reference.census(model[0](x).relu().detach().double().numpy()))
    assert (result.examples, result.batches) == (5, 2)


def test_forward_runs_any_batch() -> None:
    model = mlp()
    result = audit(model, ["ab", "c"], forward=lambda m, text: m(torch.ones(len(text), 3)), progress=False)
    assert result.layers["1"].state.examples == 3
    with pytest.raises(TypeError, match="max_examples: cannot cut a batch that holds a str"):
        audit(model, ["ab"], forward=lambda m, text: None, max_examples=1, progress=False)
    with pytest.raises(TypeError, match=r"batches that are tensors, .*got str; .*forward="):
        audit(model, ["ab"], progress=False)


@pytest.mark.parametrize("count", [1, 4, 5, 9, 100])
def test_max_examples_cuts_the_last_batch(count: int) -> None:
    x = torch.randn(9, 3)
    for loader in (
        x.split(4),
        [(a, list(range(len(a)))) for a in x.split(4)],
        [{"input": a} for a in x.split(4)],
    ):
        result = audit(mlp(), loader, max_examples=count, progress=False)
        assert result.examples == min(count, 9)
        assert {layer.state.examples for layer in result.layers.values()} == {min(count, 9)}


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


def test_max_examples_takes_no_batch_too_many() -> None:
    def loader() -> Iterator[Tensor]:
        yield torch.randn(4, 3)
        raise AssertionError("one batch too many")

    assert audit(mlp(), loader(), max_examples=4, progress=False).examples == 4


@pytest.mark.parametrize(
    ("loader", "error", "words"),
    [
        (torch.zeros(2, 3), TypeError, r"got a single array; give batches: x.split\(64\)"),
        (np.zeros((2, 3)), TypeError, "got a single array"),
        ("data", TypeError, "iterable of batches .*got str"),
        ({"x": torch.zeros(2, 3)}, TypeError, "got dict"),
        (3, TypeError, "got int"),
        ([], ValueError, "at least one example"),
        ([torch.zeros(0, 3)], ValueError, "at least one example"),
    ],
)
def test_loaders_that_cannot_be(loader: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"loader: .*{words}"):
        audit(mlp(), loader, progress=False)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("model", "expected a torch.nn.Module, got str"),
        (nn.Sequential(nn.LazyLinear(3)), "'0' is a lazy module"),
    ],
)
def test_models_that_cannot_be(model: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"model: .*{words}"):
        audit(model, [torch.zeros(1, 3)], progress=False)
    with pytest.raises((TypeError, ValueError), match=f"model: .*{words}"):
        Auditor(model)


def test_torchscript_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript itself is deprecated
        scripted = torch.jit.trace(mlp().eval(), torch.zeros(1, 3))
    with pytest.raises(TypeError, match="got a TorchScript one"):
        Auditor(scripted)
    with pytest.raises(TypeError, match=r"got a TorchScript one \(its module '0'\)"):
        Auditor(nn.Sequential(scripted))


def test_dataparallel_over_several_devices_is_refused() -> None:
    """Pitfall 8: DataParallel races in hooks."""
    parallel = nn.DataParallel(mlp())
    parallel.device_ids = [0, 1]
    with pytest.raises(TypeError, match=r"nn.DataParallel .*audit its \.module"):
        Auditor(parallel)
    assert list(audit(parallel, [torch.zeros(1, 3)], progress=False).layers) == ["1", "3"]


def test_calls_from_two_threads_are_refused() -> None:
    from concurrent.futures import ThreadPoolExecutor

    class Threads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Any:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(self.relu, x).result()

    with pytest.raises(RuntimeError, match="two threads"):
        audit(Threads(), [torch.ones(1, 3)], progress=False)


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


# Everything is left as it was found.


def _no_hook(*_: Any) -> None:
    """A hook that a pickle can hold."""


class Stateful(nn.Module):
    """Uses every random state, keeps caches, hooks itself, counts its calls, and may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1)
        )
        self.net[1].eval()
        self.net[0].weight.requires_grad_(False)
        self.register_buffer("table", None)
        self.calls = 0
        self.cache: Tensor | None = None
        self.caches: list[Tensor] = []
        self.ready = False
        self.failure: BaseException | None = None

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        if not self.ready:  # a model that puts hooks on itself, once (Transformers does)
            self.net[0].register_forward_hook(_no_hook)
            self.ready = True
        self.caches.append(x)
        self.table = self.cache = torch.randn(2) * random.random() * np.random.rand()  # noqa: NPY002
        if self.failure is not None and self.calls > 1:
            self.net(x)
            raise self.failure
        return self.net(x)


def snapshot(model: nn.Module) -> Any:
    return (
        [{k: v for k, v in m.__dict__.items() if not k.startswith("_")} for m in model.modules()],
        [list(m.caches) for m in model.modules() if isinstance(m, Stateful)],
        [m.training for m in model.modules()],
        [(n, p.requires_grad, p.grad, p.detach().clone()) for n, p in model.named_parameters()],
        {n: b.clone() for n, b in model.named_buffers()},
        [(len(m._forward_hooks), len(m._forward_pre_hooks), list(m.__dict__)) for m in model.modules()],
        pickle.dumps(model),
        (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()),  # noqa: NPY002
        torch.overrides._get_current_function_mode_stack(),
        torch.is_inference_mode_enabled(),
    )


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("failure", [None, RuntimeError("mine"), KeyboardInterrupt()])
def test_the_model_is_left_as_it_was_found(failure: BaseException | None) -> None:
    """Pitfall 9: also after an exception in the model and after an interrupt."""
    model = Stateful()
    model.failure = failure
    model.net(torch.randn(2, 3)).sum().backward()
    before = snapshot(model)
    data = [torch.randn(2, 3), torch.randn(2, 3)]
    before = snapshot(model)
    if failure is None:
        result = audit(model, data, progress=False)
        assert not any(layer.training for layer in result.layers.values())
    else:
        with pytest.raises(type(failure)) as caught:
            audit(model, data, progress=False)
        assert caught.value is failure
    assert all(map(same, before, snapshot(model)))
    model.train()
    model.failure = None
    model(data[0]).sum().backward()  # no tensor of inference mode is left in it


def test_an_exception_in_the_loader() -> None:
    """Pitfall 9."""

    def loader() -> Iterator[Tensor]:
        yield torch.randn(2, 3)
        raise OSError("unreadable")

    model = Stateful()
    before = snapshot(model)
    with pytest.raises(OSError, match="unreadable"):
        audit(model, loader(), progress=False)
    assert all(map(same, before, snapshot(model)))


def test_audit_runs_where_it_is_told() -> None:
    model = mlp()
    weights = [p.data_ptr() for p in model.parameters()]
    assert audit(model, [torch.randn(2, 3)], device="cpu", progress=False).examples == 2
    assert [p.data_ptr() for p in model.parameters()] == weights
    with pytest.raises(ValueError, match="meta device"):
        audit(model, [torch.randn(2, 3)], device="meta", progress=False)
    assert [p.data_ptr() for p in model.parameters()] == weights  # moved back to the very tensors


# The auditor's own life.


def test_compute_copies_and_goes_on() -> None:
    model = mlp()
    auditor = Auditor(model)
    assert auditor.compute().examples == 0
    assert list(auditor.compute().never_fired) == ["0", "1", "3"]
    with auditor:
        model(torch.randn(2, 3))
        early = auditor.compute()
        early.layers["1"].state.update(np.full((1, 5), 1e9))
        model(torch.randn(3, 3))
    model(torch.randn(7, 3))
    late = auditor.compute()
    assert (early.layers["1"].state.examples, late.layers["1"].state.examples) == (3, 5)
    assert late.layers["1"].state.max.max() < 1e9
    assert (late.examples, late.batches, late.model) == (5, 2, "Sequential")
    with auditor:
        model(torch.randn(1, 3))
    assert auditor.compute().layers["1"].state.examples == 6


def test_reset_forgets() -> None:
    model = mlp()
    with Auditor(model) as auditor:
        model(torch.randn(2, 3))
        auditor.reset()
        assert not auditor.compute().layers
        model(torch.randn(3, 3))
    result = auditor.compute()
    assert (result.examples, result.layers["1"].state.examples) == (3, 3)
    assert not any(m._forward_hooks for m in model.modules())


def test_attaching_twice_is_an_error() -> None:
    auditor = Auditor(mlp())
    with auditor, pytest.raises(RuntimeError, match="attached already"):
        auditor.attach()
    auditor.detach()  # a second time is harmless
    auditor.attach().detach()


def test_training_goes_on_as_without_an_auditor() -> None:
    def train(look: bool) -> tuple[list[Tensor], Audit | None]:
        torch.manual_seed(0)
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        auditor = Auditor(model)
        if look:
            auditor.attach()
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(4, 3)).square().sum().backward()
            optimizer.step()
        auditor.detach()
        return [p.detach() for p in model.parameters()], auditor.compute() if look else None

    (plain, _), (watched, result) = train(False), train(True)
    assert all(map(torch.equal, plain, watched))
    assert result is not None
    assert all(layer.training for layer in result.layers.values())


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


def test_no_value_is_asked_of_a_tensor_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall 25: `.item()` per layer and batch would wait for the device each time."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a value was asked of a tensor inside a forward")

    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    batches = [torch.randn(2, 1, 8, 8) for _ in range(3)]
    with Auditor(model) as auditor, monkeypatch.context() as patch:
        for name in ("item", "tolist", "__bool__", "__float__", "__int__", "__index__"):
            patch.setattr(torch.Tensor, name, refuse)
        for batch in batches:
            model(batch)
    assert auditor.compute().examples == 6
