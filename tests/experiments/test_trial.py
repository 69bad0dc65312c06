"""A trial is taken up wherever it was cut short, and never mixed with another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocensus import storage
from neurocensus.experiments import study, trial
from neurocensus.experiments.trial import Finished, Trial, run_trial
from neurocensus.training import Settings

from . import small


def run(folder: Path, one: Trial | None = None) -> Finished:
    return run_trial(small.trial() if one is None else one, folder, progress=False)


def same(first: Finished, other: Finished) -> bool:
    return (
        first.outcome == other.outcome
        and np.array_equal(first.scores, other.scores)
        and np.array_equal(first.labels, other.labels)
        and first.audit.range().maxima == other.audit.range().maxima
    )


def test_says_how_many_examples_there_were(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.images == (12, 12, 12)
    assert done.outcome.examples == 12


class TestTakenUp:
    @pytest.mark.parametrize("name", ["audit.safetensors", "scores.npz", "outcome.json", "start.json"])
    @pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"PK\3\4 no such thing")])
    def test_what_is_missing_or_damaged_is_made_again(
        self, tmp_path: Path, name: str, spoil: Callable[[Path], Any]
    ) -> None:
        before = run(tmp_path)
        trained = (tmp_path / "last.safetensors").stat().st_mtime_ns
        spoil(tmp_path / name)
        assert same(run(tmp_path), before)
        assert (tmp_path / "last.safetensors").stat().st_mtime_ns == trained

    @pytest.mark.parametrize("content", ["[]", "{}", "null", '{"identity": {}}', "{"])
    def test_an_outcome_of_something_else_is_made_again(self, tmp_path: Path, content: str) -> None:
        before = run(tmp_path)
        (tmp_path / "outcome.json").write_text(content)
        assert same(run(tmp_path), before)

    @pytest.mark.parametrize("last", ["scores.npz", "outcome.json"])
    def test_cut_short_while_judging_another_test_set(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
    ) -> None:
        """The outcome of the first test set must not vouch for the audit of the second."""
        before = run(tmp_path)
        atomic = storage.atomic

        def interrupted(path: Any, *rest: Any) -> Any:
            if Path(path).name == last:
                raise KeyboardInterrupt
            return atomic(path, *rest)

        monkeypatch.setattr(storage, "atomic", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, small.trial(data=small.splits(test_seed=2)))
        monkeypatch.undo()
        assert same(run(tmp_path), before)

    def test_more_epochs_are_judged_anew(self, tmp_path: Path) -> None:
        run(tmp_path)
        longer = small.trial(settings=Settings(epochs=3, learning_rate=1e-3, batch_size=6))
        done = run(tmp_path, longer)
        assert done.audit.annotations["epochs"] == 3
        assert same(done, run(tmp_path / "fresh", longer))


class TestNotMixed:
    def test_other_initial_weights_are_refused(self, tmp_path: Path) -> None:
        """`fit` cannot tell: it brings back the weights and the buffers of its checkpoint."""
        run(tmp_path)
        files = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(ValueError, match="training of mine that began from other weights"):
            run(tmp_path, small.trial(weights=1))
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files

    def test_of_another_seed_it_is_the_seed_that_is_named(self, tmp_path: Path) -> None:
        run(tmp_path)
        other = Settings(epochs=1, learning_rate=1e-3, batch_size=6, seed=1)
        with pytest.raises(ValueError, match=r"settings\.seed: the checkpoint has 0, this call 1"):
            run(tmp_path, small.trial(weights=1, settings=other))

    def test_before_the_first_checkpoint_there_is_nothing_to_mix(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

        monkeypatch.setattr("neurocensus.training.fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
        monkeypatch.undo()
        other = small.trial(weights=1)
        assert same(run(tmp_path, other), run(tmp_path / "fresh", other))

    @pytest.mark.parametrize("names", [[], ["a", "b", "a"]])
    def test_each_trial_needs_its_own_name(self, tmp_path: Path, names: list[str]) -> None:
        with pytest.raises(ValueError, match=f"trials: .*got {', '.join(names) or 'none'}"):
            study.run("", [small.trial(name) for name in names], tmp_path)


def test_trials_are_announced(tmp_path: Path) -> None:
    seen: list[str] = []
    trials = [small.trial("a"), small.trial("b")]
    study.run("", trials, tmp_path, progress=False, on_start=lambda one: seen.append(one.name))
    assert seen == ["a", "b"]
    assert (tmp_path / "b" / trial.OUTCOME).exists()
