"""The bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from neurocensus.training.progress import shown

ROW = {"validation_loss": 0.25, "validation_accuracy": 0.875}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("wanted", "terminal"), [(True, False), (False, True), (False, False)])
def test_silence(wanted: bool, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with shown(wanted, 2, 3) as report:
        report(1, 2, ROW)
    assert not stream.getvalue()


def test_a_terminal_shows_where_the_training_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with shown(True, 2, 3, done=3) as report:
        report(2, 1, None)
        report(2, 3, ROW)
    assert "epoch 2 of 2, validation loss 0.2500, accuracy 87.50%" in stream.getvalue()
