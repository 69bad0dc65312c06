"""`layers="published"`: the default rule, with modules that say so taken as one layer each."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocensus.auditor import Auditor
from neurocensus.capture.compiler import can_trace

from .models import Apply, assert_counts, axes, run


class Whole(nn.Sequential):
    """A convolution, an activation, a pooling as a function, and a part of its own that is whole too."""

    audited_whole = True

    def __init__(self, *more: nn.Module) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), *more)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)  # type: ignore[no-untyped-call]
        return F.max_pool2d(x, 2).tanh()


def model() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 3, 1), nn.ReLU(), Whole(), nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 2)
    )


IMAGES = [torch.randn(3, 3, 6, 6), torch.randn(2, 3, 6, 6)]


def test_a_whole_module_is_one_layer_with_its_units_last() -> None:
    net = model()
    result = run(net, *IMAGES, layers="published")
    assert axes(result) == {"1": 1, "2": 3, "5": 1, "6": 1}
    assert result.layers["2"].kind == "Whole"
    assert result.layers["2"].unit_rule == "last axis: after a module audited whole"
    assert_counts(result.layers["2"], [net[:3](x) for x in IMAGES], 3)
    assert result.never_fired == ()


def test_elsewhere_the_rule_is_the_default_one() -> None:
    """The layers outside keep their numbers, and a model without such modules has the default audit."""
    net = model()
    published, default = (run(net, *IMAGES, layers=layers) for layers in ("published", "activations"))
    assert list(default.layers) == ["1", "2.1", "2.max_pool2d", "2.tanh", "5", "6"]
    for name in ("1", "5", "6"):
        assert_counts(published.layers[name], [net[: int(name) + 1](x) for x in IMAGES], 1)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    published, default = (run(plain, *IMAGES, layers=layers) for layers in ("published", "activations"))
    assert published.to_dict() == default.to_dict()


def test_a_functional_activation_after_it_keeps_its_units() -> None:
    net = Apply(lambda s, x: F.relu(s.whole(x)), whole=Whole())
    assert axes(run(net, *IMAGES, layers="published")) == {"whole": 3, "relu": 3}


def test_wholes_in_wholes_and_parts_that_are_called_alone_count_with_the_outermost() -> None:
    inner = Whole()
    outer = Whole(nn.Conv2d(4, 3, 1), inner)
    net = Apply(lambda s, x: (s.outer(x), s.inner(x))[0].flatten(1), outer=outer, inner=inner)
    images = [torch.randn(2, 3, 12, 12)]
    assert list(run(net, *images, layers="published").layers) == ["outer"]
    assert list(run(outer, *images, layers="published").layers) == ["Whole"]


def test_a_layer_before_it_without_an_activation_counts() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 1), Whole())
    assert list(run(net, *IMAGES, layers="published").layers) == ["0", "1"]


def test_one_that_is_not_called_never_fired() -> None:
    net = Apply(lambda s, x: s.used(x), used=nn.ReLU(), spare=Whole())
    assert run(net, *IMAGES, layers="published").never_fired == ("spare",)


def test_called_first_after_the_first_forward() -> None:
    """Control flow that leads to it only later; its units are last all the same."""
    net = Apply(lambda s, x: s.whole(x) if len(x) == 2 else s.relu(x), whole=Whole(), relu=nn.ReLU())
    assert axes(run(net, *IMAGES, layers="published")) == {"relu": 1, "whole": 3}


@pytest.mark.skipif(not can_trace(), reason="this torch audits compiled models uncompiled")
def test_compiled_is_as_eager() -> None:
    torch.compiler.reset()
    net = model().eval()
    with torch.no_grad():
        expected = run(net, *IMAGES, *IMAGES, layers="published")
        with Auditor(net, layers="published") as auditor:
            compiled = torch.compile(net, backend="eager", fullgraph=True, dynamic=True)
            for x in (*IMAGES, *IMAGES):
                compiled(x)
    assert auditor.uncompiled is None
    result = auditor.compute()
    assert result.examples == 10
    assert result.to_dict() == expected.to_dict()
    torch.compiler.reset()
