"""The eight models as data."""

from __future__ import annotations

import subprocess
import sys

import pytest

from neurocensus import zoo

# Tables 3.5 to 3.12 and 4.2, 4.3: title, learning rate, dropout, augmentation, dense layers, backbone.
PUBLISHED = {
    "thesis-1": ("basic cnn", 0.001, 0.0, False, (512,), None),
    "thesis-2": ("img aug cnn", 0.0001, 0.3, True, (512, 512), None),
    "thesis-3": ("transfer cnn", 0.00001, 0.3, False, (512, 512), "features"),
    "thesis-4": ("tl img aug cnn", 0.00002, 0.3, True, (512, 512), "frozen"),
    "thesis-5": ("tl img aug ft cnn", 0.00001, 0.3, True, (512, 512), "fine-tuned"),
    "thesis-5a": ("tl img aug ft cnn alter neurons", 0.00001, 0.3, True, (600, 400), "fine-tuned"),
    "thesis-5b": ("tl img aug ft cnn add layer", 0.00001, 0.3, True, (512, 512, 512), "fine-tuned"),
    "thesis-5c": ("tl img aug ft cnn alter lr", 0.00005, 0.3, True, (512, 512), "fine-tuned"),
}


def test_recipes_are_the_tables() -> None:
    assert zoo.names() == tuple(PUBLISHED)
    for name in zoo.names():
        r = zoo.recipe(name)
        assert (r.title, r.learning_rate, r.dropout, r.augment, r.dense, r.backbone) == PUBLISHED[name]
        assert (r.name, r.batch_size, r.fine_tuned_blocks) == (name, 30, 2)
        assert r.epochs == (100 if r.augment else 30)


def test_an_unknown_name_says_which_there_are_and_the_closest() -> None:
    with pytest.raises(ValueError, match=r"name: expected one of thesis-1, .*did you mean 'thesis-5a'"):
        zoo.recipe("thesis5a")


def test_names_and_recipes_need_no_torch() -> None:
    code = "import sys; from neurocensus import zoo; zoo.recipe('thesis-1'); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_everything_public_is_there() -> None:
    assert all(getattr(zoo, name) is not None for name in zoo.__all__)
    assert dir(zoo) == zoo.__all__
    with pytest.raises(AttributeError, match="no attribute 'model'"):
        _ = zoo.model  # type: ignore[attr-defined]
