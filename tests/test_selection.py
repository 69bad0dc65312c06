"""What `layers` may be, and what it says when it cannot be."""

from __future__ import annotations

import re
from typing import Any

import pytest
from torch import nn

from neurocensus.selection import KEYWORDS, Selection, audited_whole, select


def resolve(layers: Any) -> Selection:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
    modules = {name or "Sequential": module for name, module in model.named_modules()}
    return select(layers, modules, ["0", "1.0", "1.1"], ["relu", "linear", "max_pool2d"], "Sequential")


def test_keywords() -> None:
    assert resolve("activations").rule
    assert resolve("published").rule
    assert resolve("modules").modules == {"0", "1.0", "1.1"}
    with pytest.raises(
        ValueError, match=r"layers: .* got the string '1.0'; .*\['1.0'\].*re.compile\('1.0'\)"
    ):
        resolve("1.0")


def test_only_the_published_rule_takes_modules_whole() -> None:
    class Whole(nn.Module):
        audited_whole = True

    assert [layers for layers in KEYWORDS if audited_whole(layers, Whole())] == ["published"]
    assert not audited_whole("published", nn.Linear(1, 1))
    assert not audited_whole(["published"], Whole())


def test_names() -> None:
    chosen = resolve(["1", "0.relu", "max_pool2d", "1.0:2"])
    assert chosen.strict
    assert chosen.modules == {"1", "1.0"}
    assert chosen.expected == ("1", "0.relu", "max_pool2d", "1.0:2")
    assert chosen.function is not None
    assert [chosen.function(n) for n in ("0.relu", "max_pool2d", "1.relu")] == [True, True, False]
    assert [chosen.calls(n) for n in ("1", "1:2", "1.0", "1.0:2", "1.0:3")] == [
        True,
        True,
        False,
        True,
        False,
    ]


def test_a_module_may_be_named_like_a_later_call() -> None:
    modules: dict[str, nn.Module] = {"Net": nn.Module(), "a:2": nn.ReLU(), "a": nn.ReLU(), "b:2": nn.ReLU()}
    assert select(["b:2"], modules, [], [], "Net").modules == {"b:2"}
    assert select(["a:2"], modules, [], [], "Net").modules == {"a", "a:2"}  # either may be meant


@pytest.mark.parametrize("name", ["2", "1.2", "1.reul", "conv", "3.relu", "relu:x", ""])
def test_an_unknown_name_lists_the_valid_ones(name: str) -> None:
    with pytest.raises(ValueError, match=r"no layer .*Valid names: Sequential, 0, 1, 1.0, 1.1"):
        resolve([name])


def test_an_unknown_name_suggests_close_ones() -> None:
    with pytest.raises(ValueError, match=r"Did you mean '1.relu'"):
        resolve(["1.reul"])


def test_pattern_is_searched_in_modules_and_functions() -> None:
    chosen = resolve(re.compile(r"^1\.|relu"))
    assert chosen.modules == {"1.0", "1.1"}
    assert chosen.function is not None
    assert chosen.function("0.relu")
    assert not chosen.function("0.linear")
    assert not chosen.strict


def test_predicate_sees_every_module() -> None:
    assert resolve(lambda name, module: isinstance(module, nn.Sequential)).modules == {"Sequential", "1"}
    with pytest.raises(ValueError, match="predicate chose none"):
        resolve(lambda name, module: False)


@pytest.mark.parametrize(
    ("layers", "error", "words"),
    [(3, TypeError, "got int"), ([], ValueError, "empty list"), ([1], TypeError, "got int in the list")],
)
def test_anything_else(layers: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        resolve(layers)
