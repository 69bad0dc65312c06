"""Audits inside compiled code: what eager ones say, no graph break, one compilation; else the reason."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurocensus import ops
from neurocensus.auditor import Auditor, audit
from neurocensus.capture.compiler import can_trace
from neurocensus.result import Audit
from neurocensus.state import UnitState

from .audit_samples import assert_told_alike
from .capture.models import Apply
from .parity import budget

pytestmark = [
    pytest.mark.skipif(not can_trace(), reason="this torch audits compiled models uncompiled"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inductor's own
]
WAYS = ["wrapper", "in place", "function"]


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    torch.manual_seed(0)
    yield
    assert torch._dynamo.eval_frame._stance.stance == "default"
    assert torch._dynamo.config.skip_nnmodule_hook_guards
    assert not torch.overrides._get_current_function_mode_stack()
    torch.compiler.reset()


def compiled(model: nn.Module, how: str = "function", **options: Any) -> Callable[..., Any]:
    options = {"backend": "eager", "fullgraph": True, **options}
    if how == "wrapper":
        return torch.compile(model, **options)  # type: ignore[no-any-return]
    if how == "in place":
        model.compile(**options)
        return model
    return torch.compile(lambda *args: model(*args), **options)  # type: ignore[no-any-return]


def graphs() -> int:
    """How many graphs were made so far."""
    made: int = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    return made


def breaks() -> dict[str, int]:
    return dict(torch._dynamo.utils.counters["graph_break"])


def calls(result: Audit) -> dict[str, int]:
    return {name: layer.calls for name, layer in result.layers.items()}


def assert_equal(result: Audit, expected: Audit) -> None:
    """The same audit: every number of it, moments within their budget."""
    assert_told_alike(result, expected)
    for name, layer in result.layers.items():
        budget.assert_same(layer.state, expected.layers[name].state)  # type: ignore[arg-type]


def assert_close(result: Audit, expected: Audit) -> None:
    """The same calls, and values to the rounding of other kernels."""
    assert calls(result) == calls(expected)
    for name, layer in result.layers.items():
        mine, its = layer.state, expected.layers[name].state
        for field in ("examples", "values", "next_example", "nan", "inf"):
            np.testing.assert_array_equal(getattr(mine, field), getattr(its, field))
        for field in ("max", "min", "mean", "mean_abs", "m2"):
            np.testing.assert_allclose(getattr(mine, field), getattr(its, field), rtol=1e-4, atol=1e-5)


def twins(make: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module]:
    first, second = make(), make()
    second.load_state_dict(first.state_dict())
    return first, second


def eagerly(model: nn.Module, inputs: list[Tensor], **options: Any) -> Audit:
    with Auditor(model, **options) as auditor:
        for x in inputs:
            model(x)
    return auditor.compute()


class ConvNet(nn.Module):
    """Convolutions whose outputs are overwritten in place, and a ReLU used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.pool = nn.Conv2d(8, 6, 3), nn.MaxPool2d(2)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(54, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn(self.conv1(x)))
        out: Tensor = self.head(self.pool(self.relu(self.conv2(x))).flatten(1))
        return out


class Mlp(nn.Module):
    """Functional activations, in place too, directly and inside a block; a tuple and a dict as output."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(6, 12), nn.Linear(12, 4)
        self.block = Apply(lambda s, x: F.relu(s.inner(x)), inner=nn.Linear(4, 4))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        h = self.block(self.down(F.gelu(self.up(x))))
        return (h - 0.1).relu_(), {"gate": torch.sigmoid(h), "first": F.relu(h)}


def encoder_layer() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)


SHAPES = {ConvNet: (3, 8, 8), Mlp: (6,), encoder_layer: (5, 8)}


def batches(make: Callable[[], nn.Module], sizes: tuple[int, ...]) -> list[Tensor]:
    return [torch.randn(n, *SHAPES[make]) for n in sizes]


# The same audit, with no graph break and no compilation beyond that of a dynamic batch size.


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("layers", ["activations", "modules"])
@pytest.mark.parametrize("make", SHAPES)
def test_compiled_is_as_eager(make: Callable[[], nn.Module], layers: str, how: str) -> None:
    model, twin = (m.eval() for m in twins(make))
    inputs = batches(make, (4, 4, 4, 3, 5, 2))
    made = []
    with torch.no_grad(), Auditor(model, layers=layers) as auditor:
        run = compiled(model, how)
        for x in inputs:
            run(x)
            made.append(graphs())
    if how == "in place" and make is encoder_layer and not graphs():
        pytest.skip("this torch does not compile torch's own modules in place")
    assert made == [0, 1, 1, 2, 2, 2]  # uncompiled first; then once, and once more for other batch sizes
    assert not breaks()
    assert auditor.uncompiled is None
    assert not auditor.skipped
    with torch.no_grad():
        assert_equal(auditor.compute(), eagerly(twin, inputs, layers=layers))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("make", SHAPES)
def test_backends_that_functionalize(make: Callable[[], nn.Module], backend: str) -> None:
    """What is overwritten in place later in the graph is counted before."""
    model, twin = (m.eval() for m in twins(make))
    inputs = batches(make, (4, 4, 4))
    with torch.no_grad(), Auditor(model, layers="modules") as auditor, Auditor(model) as other:
        run = compiled(model, backend=backend)
        for x in inputs:
            run(x)
    assert (graphs(), breaks()) == (1, {})
    check = assert_close if backend == "inductor" else assert_equal
    with torch.no_grad():
        check(auditor.compute(), eagerly(twin, inputs, layers="modules"))
        check(other.compute(), eagerly(twin, inputs))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_training_counts_each_forward_once(backend: str) -> None:
    """The backward pass may compute a forward again, but not its counting; gradients are those without."""
    model, twin = twins(ConvNet)
    inputs = batches(ConvNet, (4, 4, 4))
    with Auditor(model) as auditor:
        run = compiled(model, backend=backend)
        for x in inputs:
            run(x).square().sum().backward()
    for x in inputs:
        twin(x).square().sum().backward()
    result = auditor.compute()
    assert set(calls(result).values()) == {3}
    assert {(p.state.examples, p.state.next_example) for p in result.layers.values()} == {(12, 12)}
    assert all(layer.training for layer in result.layers.values())
    for mine, its in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-3, atol=1e-4)


def test_a_whole_training_step_may_be_compiled() -> None:
    model, twin = twins(ConvNet)
    inputs = batches(ConvNet, (4, 4, 4))

    def step(x: Tensor) -> Tensor:
        loss: Tensor = model(x).square().mean()
        return loss

    with Auditor(model) as auditor:
        run = torch.compile(step, backend="aot_eager", fullgraph=True)
        for x in inputs:
            run(x).backward()
    assert (graphs(), breaks()) == (1, {})
    assert_equal(auditor.compute(), eagerly(twin, inputs))


@pytest.mark.parametrize("how", WAYS)
def test_a_mask_is_an_input_of_the_graph(how: str) -> None:
    model, twin = (m.eval() for m in twins(encoder_layer))
    inputs = batches(encoder_layer, (4, 4, 4, 4, 4))
    masks = [None, torch.rand(4, 5) < 0.5, torch.rand(4, 5) < 0.5, None, torch.arange(4) < 2]
    results = []
    for m, run in ((twin, twin), (model, compiled(model, how))):
        with torch.no_grad(), Auditor(m) as auditor:
            for x, mask in zip(inputs, masks, strict=True):
                auditor.mask = mask
                run(x)
        results.append(auditor.compute())
    assert_equal(results[1], results[0])
    assert any(layer.masked for layer in results[1].layers.values())


def test_a_mask_that_does_not_fit_is_told() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.ReLU())
    run = compiled(model)
    with Auditor(model) as auditor:
        run(torch.randn(2, 3, 4))
        auditor.mask = torch.ones(2, 5, dtype=torch.bool)
        run(torch.randn(2, 3, 4))
    with pytest.warns(UserWarning, match=r"the mask does not fit .* 0 of 3 axes"):
        auditor.compute()


def test_options_reach_the_graph() -> None:
    options: dict[str, Any] = {"threshold": 0.2, "histogram": True, "threads": 1, "unit_axis": {"head": 1}}
    model, twin = (m.eval() for m in twins(ConvNet))
    inputs = batches(ConvNet, (2, 2, 2))
    with torch.no_grad(), Auditor(model, **options) as auditor:
        run = compiled(model)
        for x in inputs:
            run(x)
        assert graphs() == 1
        assert_equal(auditor.compute(), eagerly(twin, inputs, **options))


def test_only_what_was_asked_for_is_counted() -> None:
    model, twin = (m.eval() for m in twins(ConvNet))
    inputs = batches(ConvNet, (2, 2, 2))
    with Auditor(model, layers=["relu:2", "head"]) as auditor:
        run = compiled(model)
        for x in inputs:
            run(x)
    assert graphs() == 1
    assert_equal(auditor.compute(), eagerly(twin, inputs, layers=["relu:2", "head"]))
    assert list(auditor.compute().layers) == ["relu:2", "head"]


def test_compiled_and_uncompiled_forwards_mix() -> None:
    """Train and eval mode, other batch sizes, calls of the model itself: one count, and `argmax` goes on."""
    model, twin = twins(ConvNet)
    inputs = batches(ConvNet, (3, 3, 2, 3, 3, 4))
    run = compiled(model)
    with Auditor(model) as auditor, Auditor(twin) as expected:
        for i, x in enumerate(inputs):
            for m in (model, twin):
                m.train(i in (2, 4))
            (model if i == 3 else run)(x)
            twin(x)
    assert graphs() >= 2
    assert auditor.modes == ("train", "eval")
    assert (auditor.compute("train").examples, auditor.compute("eval").examples) == (5, 13)
    for mode in ("train", "eval"):
        assert_equal(auditor.compute(mode), expected.compute(mode))  # type: ignore[arg-type]


def test_parts_called_by_themselves() -> None:
    """Each is followed uncompiled first: nothing is compiled before all have been seen."""
    model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(3, 4), nn.ReLU()), "b": nn.Linear(4, 2)})
    with torch.no_grad(), Auditor(model) as auditor:
        first, second = compiled(model["a"]), compiled(model["b"])
        for n in (2, 3, 4):
            second(first(torch.randn(n, 3)))
    result = auditor.compute()
    assert graphs() >= 2
    assert {n: (p.state.examples, p.calls) for n, p in result.layers.items()} == {"a.1": (9, 3), "b": (9, 3)}
    assert (result.examples, result.batches) == (9, 3)


@pytest.mark.parametrize("how", WAYS)
def test_where_the_graph_breaks_counting_goes_on(how: str) -> None:
    class Broken(ConvNet):
        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.bn(self.conv1(x)))
            torch._dynamo.graph_break()
            x = F.relu(x - 0.1)
            return torch.sigmoid(self.head(self.pool(self.relu(self.conv2(x))).flatten(1)))

    model, twin = (m.eval() for m in twins(Broken))
    inputs = [torch.randn(n, 3, 8, 8) for n in (2, 2, 3)]
    with torch.no_grad(), Auditor(model) as auditor:
        run = compiled(model, how, fullgraph=False)
        for x in inputs:
            run(x)
        assert breaks()
        assert_equal(auditor.compute(), eagerly(twin, inputs))


@pytest.mark.parametrize("how", WAYS)
def test_no_more_is_compiled_than_torch_allows(how: str) -> None:
    """Past the limit torch runs the function uncompiled, hooks and all."""
    model = Apply(lambda s, x: s.relu(F.gelu(s.layer(x))), layer=nn.Linear(3, 4), relu=nn.ReLU())
    with torch._dynamo.config.patch(recompile_limit=1), Auditor(model) as auditor:
        run = compiled(model, how, fullgraph=False, dynamic=False)
        for n in (2, 2, 3, 4):
            run(torch.randn(n, 3))
    assert graphs() == 1
    assert calls(auditor.compute()) == {"gelu": 4, "relu": 4}
    assert auditor.compute().layers["relu"].state.examples == 11


# The orders of compiling, attaching, running and detaching.


@pytest.mark.parametrize("how", WAYS)
def test_compiled_but_not_yet_run_before_attaching(how: str) -> None:
    model = ConvNet().eval()
    run = compiled(model, how)
    with torch.no_grad(), Auditor(run if how == "wrapper" else model) as auditor:  # type: ignore[arg-type]
        for x in batches(ConvNet, (2, 2, 2)):
            run(x)
    assert graphs() == 1
    assert set(calls(auditor.compute()).values()) == {3}


@pytest.mark.parametrize("how", WAYS)
def test_run_before_attaching(how: str) -> None:
    """That code would not count: the model runs uncompiled, and the reason is there."""
    model = ConvNet().eval()
    run = compiled(model, how)
    inputs = batches(ConvNet, (2, 2, 2))
    run(inputs[0])
    made = graphs()
    with Auditor(model) as auditor:
        for x in inputs:
            run(x)
        assert str(auditor.uncompiled).startswith("something was compiled before the auditor was attached")
    assert set(calls(auditor.compute()).values()) == {3}
    run(inputs[0])
    assert graphs() == made
    torch.compiler.reset()  # the way out that the reason names
    with Auditor(model) as auditor:
        for x in inputs:
            run(x)
        assert auditor.uncompiled is None
    assert graphs() == made + 1
    assert set(calls(auditor.compute()).values()) == {3}


@pytest.mark.parametrize("how", WAYS)
def test_after_detaching_nothing_is_counted(how: str) -> None:
    model = ConvNet().eval()
    run = compiled(model, how)
    x = batches(ConvNet, (2,))[0]
    with Auditor(model) as auditor:
        run(x), run(x)
    with auditor:  # at once: the code is as it was left
        assert auditor.uncompiled is None
        run(x), run(x)
    for _ in range(2):
        run(x)
    assert set(calls(auditor.compute()).values()) == {4}
    with auditor:  # now there is code without hooks
        run(x), run(x)
        assert auditor.uncompiled is not None
    assert set(calls(auditor.compute()).values()) == {6}


def test_code_that_outlives_its_hooks_is_switched_off() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    taken: list[Any] = []

    def backend(graph: Any, inputs: list[Any]) -> Any:
        taken.append((graph, inputs))
        return graph.forward

    with Auditor(model) as auditor:
        run = compiled(model, backend=backend)
        run(torch.randn(2, 3)), run(torch.randn(2, 3))
        graph, inputs = taken[0]
        graph(*inputs)
    assert calls(auditor.compute()) == {"1": 3}
    graph(*inputs)
    assert calls(auditor.compute()) == {"1": 3}
    assert auditor.compute().layers["1"].state.examples == 6


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("audited_first", [False, True])
def test_another_model_of_the_class_shares_no_code(audited_first: bool, how: str) -> None:
    """torch shares compiled code between models of one class, and by default does not ask for hooks."""
    audited, other = ConvNet().eval(), ConvNet().eval()
    x = batches(ConvNet, (2,))[0]
    with Auditor(audited) as auditor:
        run, run_other = compiled(audited, how), compiled(other, how)
        run(x)
        for _ in range(3):
            for each in (run, run_other) if audited_first else (run_other, run):
                each(x)
    assert graphs() == 2
    assert set(calls(auditor.compute()).values()) == {4}


@pytest.mark.parametrize("later", [False, True])
def test_two_auditors(later: bool) -> None:
    model, twin = (m.eval() for m in twins(ConvNet))
    inputs = batches(ConvNet, (2, 2, 2, 2, 2))
    run = compiled(model)
    first, second = Auditor(model), Auditor(model, layers="modules")
    with ExitStack() as stack:
        for i, x in enumerate(inputs):
            for auditor, start in ((first, 0), (second, 2 * later)):
                if i == start:
                    stack.enter_context(auditor)
            run(x)
    assert first.uncompiled is second.uncompiled is None
    assert graphs() == 1 + later
    assert_equal(first.compute(), eagerly(twin, inputs))
    assert_equal(second.compute(), eagerly(twin, inputs[2:] if later else inputs, layers="modules"))


@pytest.mark.parametrize("how", WAYS)
def test_hooks_of_the_users_own(how: str) -> None:
    def before(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        return (F.relu(args[0]) + offset,)

    def after(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        return output + offset

    offset = torch.tensor(0.25)
    model, twin = (m.eval() for m in twins(ConvNet))
    for m in (model, twin):
        for child in (m, m.conv2, m.relu):
            child.register_forward_pre_hook(before)  # type: ignore[union-attr]
            child.register_forward_hook(after)  # type: ignore[union-attr]
    inputs = batches(ConvNet, (2, 2, 2))
    with torch.no_grad(), Auditor(model) as auditor:
        run = compiled(model, how)
        outputs = [run(x) for x in inputs]
        assert graphs() == (1 if how == "function" else 3)  # torch may compile the root's hooks by themselves
        assert_equal(auditor.compute(), eagerly(twin, inputs))
        torch.testing.assert_close(outputs, [twin(x) for x in inputs])


@pytest.mark.parametrize("how", WAYS)
def test_reset_keeps_the_code(how: str) -> None:
    model, twin = (m.eval() for m in twins(ConvNet))
    inputs = batches(ConvNet, (2, 2, 2, 2))
    with torch.no_grad(), Auditor(model) as auditor:
        run = compiled(model, how)
        for i, x in enumerate(inputs):
            if i == 2:
                made = graphs()
                auditor.reset()
                assert not auditor.compute().layers
            run(x)
        assert graphs() == made
        assert_equal(auditor.compute(), eagerly(twin, inputs[2:]))


@pytest.mark.parametrize("how", WAYS)
def test_a_compiled_model_that_raises(how: str) -> None:
    model = ConvNet().eval()
    run = compiled(model, how)
    x = batches(ConvNet, (2,))[0]
    with Auditor(model) as auditor:
        run(x), run(x)
        with pytest.raises(RuntimeError, match=r"conv2d|channels"):
            run(torch.randn(2, 4, 8, 8))
        assert not torch.overrides._get_current_function_mode_stack()
        run(x)
    result = auditor.compute()
    assert (set(calls(result).values()), result.examples, result.batches) == ({3}, 6, 3)


def test_a_stance_of_the_users_own_is_theirs() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    run = compiled(model)
    with Auditor(model) as auditor:
        with torch.compiler.set_stance("force_eager"):
            run(torch.randn(2, 3))
        for _ in range(3):
            run(torch.randn(2, 3))
        with torch.compiler.set_stance("force_eager"):
            run(torch.randn(2, 3))
    assert graphs() == 1
    assert calls(auditor.compute()) == {"1": 5}


def test_audit_runs_the_model_itself_uncompiled() -> None:
    model, twin = twins(ConvNet)
    inputs = batches(ConvNet, (2, 2, 2))
    result = audit(torch.compile(model, backend="eager", fullgraph=True), inputs)  # type: ignore[arg-type]
    assert graphs() == 0
    assert_equal(result, audit(twin, inputs))


def test_in_a_process_that_has_compiled_nothing_yet() -> None:
    """The compiler is loaded by then, so that the first forward can be held back."""
    code = """
import torch
from neurocensus.auditor import Auditor
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
with Auditor(model) as auditor:
    run = torch.compile(model, backend="eager", fullgraph=True)
    for _ in range(3):
        run(torch.randn(2, 3))
print({n: p.calls for n, p in auditor.compute().layers.items()}, torch._dynamo.utils.counters["stats"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "{'1': 3}" in done.stdout
    assert "'unique_graphs': 1" in done.stdout


# What cannot be audited inside compiled code: told, or run uncompiled with the reason.


@pytest.mark.parametrize(
    "function", [F.relu_, torch.relu_, F.hardswish, F.sigmoid, F.tanh, torch._C._nn.silu],
    ids=["F.relu_", "torch.relu_", "F.hardswish", "F.sigmoid", "F.tanh", "silu"],
)  # fmt: skip
def test_functions_that_torch_compile_hides(function: Callable[[Tensor], Tensor]) -> None:
    model = Apply(lambda self, x: function(self.layer(x)), layer=nn.Linear(3, 4))
    with Auditor(model) as auditor:
        run = compiled(model)
        for _ in range(3):
            run(torch.randn(2, 3))
        assert "torch.compile does not show these functions" in str(auditor.uncompiled)
    assert (graphs(), list(calls(auditor.compute()).values())) == (0, [3])


def test_such_a_function_that_comes_later() -> None:
    model = Apply(
        lambda s, x: F.hardswish(s.layer(x)) if x.shape[0] == 3 else F.relu(s.layer(x)), layer=nn.Linear(3, 4)
    )
    with Auditor(model) as auditor:
        run = compiled(model)
        for n in (2, 2):
            run(torch.randn(n, 3))
        assert (graphs(), auditor.uncompiled) == (1, None)
        model(torch.randn(3, 3))
        assert "hardswish" in str(auditor.uncompiled)
        for n in (2, 3):
            run(torch.randn(n, 3))
    assert (graphs(), calls(auditor.compute())) == (1, {"relu": 3, "hardswish": 2})


def test_functions_where_the_user_disabled_the_compiler() -> None:
    hidden = torch.compiler.disable(F.relu)
    model = Apply(lambda self, x: hidden(self.layer(x)), layer=nn.Linear(3, 4))
    with Auditor(model) as auditor:
        run = compiled(model, fullgraph=False)
        for _ in range(3):
            run(torch.randn(2, 3))
        assert "does not show these functions to an audit: relu" in str(auditor.uncompiled)
    assert (graphs(), calls(auditor.compute())) == (0, {"relu": 3})


def test_activation_checkpoints_run_uncompiled() -> None:
    model = Apply(
        lambda s, x: s.head(checkpoint(s.block, x, use_reentrant=False)),
        block=nn.Sequential(nn.Linear(4, 6), nn.ReLU()),
        head=nn.Linear(6, 1),
    )
    with Auditor(model) as auditor:
        run = compiled(model)
        for _ in range(3):
            run(torch.randn(2, 4, requires_grad=True)).sum().backward()
        assert "activation checkpoint" in str(auditor.uncompiled)
    assert (graphs(), calls(auditor.compute())) == (0, {"block.1": 3, "head": 3})


def test_points_first_reached_in_compiled_code_are_told() -> None:
    def branch(self: Any, x: Tensor) -> Tensor:
        x = self.layer(x)
        return self.extra(F.silu(x)) if x.shape[0] == 3 else F.relu(x)

    model = Apply(branch, layer=nn.Linear(3, 4), extra=nn.Tanh())
    run = compiled(model)
    with Auditor(model) as auditor:
        for n in (2, 2, 3):
            run(torch.randn(n, 3))
        assert set(auditor.skipped) == {"silu", "extra", "relu"}
        assert auditor.skipped["silu"].startswith("first reached inside compiled code")
        assert auditor.skipped["relu"].startswith("called in an uncompiled forward")
        with pytest.warns(UserWarning, match="not counted: .*silu: first reached"):
            assert calls(auditor.compute()) == {"relu": 2}
        with torch.compiler.set_stance("force_eager"):  # the way out that the reason names
            run(torch.randn(3, 3))
        run(torch.randn(3, 3))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert calls(auditor.compute()) == {"relu": 2, "silu": 2, "extra": 2}


def test_compiling_inside_audit_before_the_first_forward_is_refused() -> None:
    """There the compiler may be loaded too late to be held back; nothing is lost silently."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    auditor = Auditor(model).attach()
    auditor._capture.hooks.detach()
    with pytest.raises(Exception, match="being compiled before the auditor has seen it run"):
        auditor._capture.traced.enter(auditor._capture._sites[model], model, (), {})
    auditor._capture.hooks.attach(False)
    auditor.detach()


@pytest.mark.parametrize("strict", [False, True])
def test_exported_programs_are_left_alone(strict: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.randn(2, 3)
    with Auditor(model) as auditor:
        model(x)
        exported = torch.export.export(model, (x,), strict=strict)
    assert "neurocensus" not in str(exported.graph)
    assert calls(auditor.compute()) == {"1": 1}


# CUDA graphs: what can be told without a GPU.


@pytest.mark.filterwarnings("ignore:dynamo_pgo")  # that it is switched off with the other caches
def test_states_are_static_inputs_and_updated_in_place() -> None:
    """CUDA graphs take no graph with inputs that are mutated, other than static ones."""
    from torch._inductor.compile_fx import compile_fx, compile_fx_inner
    from torch._inductor.utils import run_and_get_code

    seen: list[tuple[list[int], set[int]]] = []

    def inner(graph: Any, inputs: Any, **options: Any) -> Any:
        placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
        written = [n.args[0] for n in graph.graph.nodes if n.target is torch.ops.aten.copy_.default]
        seen.append((list(options["static_input_idxs"]), {placeholders.index(node) for node in written}))
        return compile_fx_inner(graph, inputs, **options)

    def backend(graph: Any, inputs: Any) -> Any:
        return compile_fx(graph, inputs, inner_compile=inner)

    model = ConvNet().eval()
    x = batches(ConvNet, (2,))[0]
    with torch._inductor.config.patch(force_disable_caches=True), Auditor(model) as auditor:
        run = compiled(model, backend=backend)
        run(x)
        result, codes = run_and_get_code(run, x)
        result.sum().backward()
    assert len(calls(auditor.compute())) == 4
    static, written = seen[0]
    assert len(written) == 5  # four states and the tally
    assert written <= set(static)
    assert seen[1][1] == set()  # the backward pass counts nothing
    code = "\n".join(codes)
    assert (code.count("ops.neurocensus.update"), code.count("ops.neurocensus.tick")) == (4, 1)
    assert "copy_(" not in code.replace("_copy_(", "")  # no state is copied there and back


def test_the_states_of_a_graph_are_the_auditors() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with Auditor(model) as auditor:
        run = compiled(model, mode="reduce-overhead", backend="inductor")
        run(torch.randn(2, 3))
        state = auditor._capture.points["1"].counts["train"].state
        run(torch.randn(2, 3)), run(torch.randn(2, 3))
        assert isinstance(state, UnitState)
        assert state.words is state.words
        assert state.words._dynamo_static_input_type  # type: ignore[attr-defined]
    assert calls(auditor.compute()) == {"1": 3}
    assert len(auditor._capture.traced.kinds) == 1 < ops.SLOTS
    np.testing.assert_array_equal(auditor.compute().layers["1"].state.examples, 6)


def test_a_stance_set_for_good_by_user_code_is_seen() -> None:
    model, twin = twins(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    with Auditor(twin):
        torch.compiler.set_stance("default")
    run = compiled(model)
    run(torch.randn(2, 3))
    with Auditor(model) as auditor:  # compiled before: uncompiled now, and counted
        for _ in range(3):
            run(torch.randn(2, 3))
    assert auditor.compute().examples == 6


def test_detached_under_a_stance_of_the_users_own() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    auditor = Auditor(model).attach()
    with torch.compiler.set_stance("default"):
        auditor.detach()
    run = compiled(model)
    run(torch.randn(2, 3))
    assert graphs() == 1


def test_attached_again_and_again() -> None:
    """An audit each epoch: torch's limit of recompilations is left to the user."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    run = compiled(model)
    reasons = []
    for _ in range(12):
        with Auditor(model) as auditor:
            for _ in range(3):
                run(torch.randn(2, 3))
        assert auditor.compute().examples == 6
        reasons.append(auditor.uncompiled)
    assert reasons[:3] == [None] * 3
    assert "keep one auditor attached" in str(reasons[-1])
    run(torch.randn(2, 3))


class Silent(nn.Module):
    """A forward that returns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 4), nn.ReLU())

    def forward(self, x: Tensor) -> None:
        self.loss = self.inner(x).sum()


@pytest.mark.parametrize("how", WAYS)
def test_a_forward_that_returns_nothing_is_one(how: str) -> None:
    model = Silent()
    run = compiled(model, how, fullgraph=False)
    with Auditor(model) as auditor:
        for _ in range(4):
            run(torch.randn(2, 3))
    result = auditor.compute()
    assert (calls(result), result.examples, result.batches) == ({"inner.1": 4}, 8, 4)


def test_what_traces_the_first_forward_does_not_see_the_auditor() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with warnings.catch_warnings(), Auditor(model):
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, torch.randn(2, 3), check_trace=False)
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert kinds == {"prim::GetAttr", "aten::linear", "aten::relu"}
