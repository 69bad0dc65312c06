"""The picture of a training."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from PIL import Image

from neurocensus.training import History, Settings, fit, plot_history

from .samples import net, pictures
from .test_history import history


@pytest.mark.parametrize("epochs", [1, 3, 40])
@pytest.mark.parametrize("names", [["one"], ["$x_1", "$", "<b>\n"]])
def test_loss_and_accuracy_of_each_training(names: list[str], epochs: int) -> None:
    trained = history([1 / epoch for epoch in range(1, epochs + 1)])
    figure = plot_history(dict.fromkeys(names, trained))
    figure.savefig(io.BytesIO(), format="png")
    assert len(figure.axes) == 2 * len(names)
    for axes, quantity in zip(figure.axes, ["loss"] * len(names) + ["accuracy"] * len(names), strict=True):
        seen, unseen, best = axes.lines
        assert list(seen.get_ydata()) == trained.column(quantity)
        assert list(unseen.get_ydata()) == trained.column(f"validation_{quantity}")
        assert list(best.get_xdata()) == [trained.best["epoch"]] * 2


def test_a_training_leaves_its_picture(tmp_path: Path) -> None:
    data = pictures(8)
    fit(net(), data, data, Settings(2, 1e-3), folder=tmp_path)
    with Image.open(tmp_path / "training.png") as picture:
        width, height = picture.size
        assert width > 300
        assert height > 300
        assert len(set(picture.convert("L").tobytes())) > 10  # it is not empty


def test_a_gap_is_no_error() -> None:
    rows = history([1.0, 2.0]).rows
    plot_history({"x": History(({**rows[0], "loss": math.nan}, rows[1]))}).savefig(io.BytesIO(), format="png")


def test_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="histories: expected at least one, got none"):
        plot_history({})
    with pytest.raises(ValueError, match=r"histories\['x'\]: expected at least one epoch, got none"):
        plot_history({"x": History()})
