"""`fit`: what is trained, how it ends, what it leaves, and what it refuses."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from neurocensus.training import History, Settings, fit, predict
from neurocensus.training.objective import binary
from neurocensus.weights import load_weights

from .samples import dense, features, net, noise, pictures, same, weights

pytestmark = pytest.mark.usefixtures("no_picture")
SETTINGS = Settings(3, 1e-3, batch_size=10)
TRAIN, VALIDATION = pictures(40), pictures(20, seed=1)


def train(model: nn.Module, folder: Path, settings: Settings = SETTINGS, **options: Any) -> History:
    data = options.pop("train", TRAIN), options.pop("validation", VALIDATION)
    return fit(model, *data, settings, folder=folder, **options)


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd", "adam"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_network_learns(outputs: int, optimizer: str, tmp_path: Path) -> None:
    model = net(outputs=outputs)
    history = train(model, tmp_path, Settings(8, 1e-2, batch_size=10, optimizer=optimizer))  # type: ignore[arg-type]
    assert history.rows[-1]["validation_accuracy"] == 1
    assert history.rows[-1]["loss"] < history.rows[0]["loss"]
    scores = predict(model, VALIDATION)
    chosen = scores > 0.5 if outputs == 1 else scores.argmax(1)
    assert (chosen == VALIDATION.labels).all()


def test_three_classes(tmp_path: Path) -> None:
    data = pictures(45, classes=3)
    history = fit(net(outputs=3), data, data, Settings(10, 1e-2, batch_size=10), folder=tmp_path)
    assert history.best["validation_accuracy"] == 1


def test_features_are_trained_on_as_they_are(tmp_path: Path) -> None:
    model = dense()
    data = features(60)
    history = fit(model, data, data, Settings(20, 1e-2, batch_size=10), folder=tmp_path)
    assert history.best["validation_accuracy"] > 0.85


@settings(max_examples=10)
@given(
    count=st.integers(2, 25), batch_size=st.integers(1, 30), epochs=st.integers(1, 3), seed=st.integers(0, 9)
)
def test_the_loop_is_the_plain_loop(
    count: int, batch_size: int, epochs: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Weights and rows of the loop that everybody would write down, on the batches that `data` gives."""
    from neurocensus.data import batches

    data, other = features(count), features(7, seed=1)
    model, plain = dense(), dense()
    history = fit(
        model, data, other, Settings(epochs, 0.01, batch_size=batch_size, seed=seed),
        folder=tmp_path_factory.mktemp("run"),
    )  # fmt: skip
    optimizer = torch.optim.RMSprop(plain.parameters(), lr=0.01, alpha=0.9, eps=1e-7)
    for epoch, row in enumerate(history.rows):
        losses, rights = 0.0, 0
        for x, y in batches(data, batch_size, seed=seed, epoch=epoch):
            logits = plain[:-1](x)
            loss, right = binary(plain(x), y, logits)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses, rights = losses + loss.item() * len(y), rights + int(right)
        with torch.no_grad():
            x, y = other.batch(slice(None))
            validation_loss, validation_right = binary(plain(x), y, plain[:-1](x))
        assert row["epoch"] == epoch + 1
        assert row["loss"] == pytest.approx(losses / count)
        assert row["accuracy"] == pytest.approx(rights / count)
        assert row["validation_loss"] == pytest.approx(float(validation_loss))
        assert row["validation_accuracy"] == pytest.approx(float(validation_right) / 7)
        assert row["seconds"] > 0
    assert same(weights(model), weights(plain))


def test_what_the_folder_holds(tmp_path: Path) -> None:
    model = net()
    history = train(model, tmp_path / "run", augment=noise)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "best.safetensors", "checkpoint.safetensors", "history.jsonl", "last.safetensors", "training.png",
    }  # fmt: skip
    assert History.load(tmp_path / "run") == history
    assert history.stopped == "epochs"
    assert [row["epoch"] for row in history.rows] == [1, 2, 3]
    other = net(seed=5)
    assert load_weights(other, tmp_path / "run" / "last.safetensors") == []
    assert same(weights(other), weights(model))


class Keep:
    """Keeps the weights at the end of each epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []

    def __call__(self, epoch: int, model: nn.Module) -> Mapping[str, float]:
        assert epoch == len(self.weights) + 1
        assert not model.training
        self.weights.append(weights(model))
        return {"kept": len(self.weights)}


def overfit(folder: Path, model: nn.Module, **options: Any) -> tuple[History, Keep]:
    """A training whose best epoch is not the last: the labels of the validation are the wrong way round."""
    keep = Keep()
    wrong = replace(VALIDATION, labels=1 - VALIDATION.labels)
    settings = options.pop("settings", Settings(6, 1e-2, batch_size=10))
    history = fit(model, TRAIN, wrong, settings, folder=folder, callbacks=[keep], **options)
    return history, keep


def test_best_and_last_weights(tmp_path: Path) -> None:
    last, best = net(), net()
    history, keep = overfit(tmp_path / "last", last)
    overfit(tmp_path / "best", best, restore="best")
    epoch = int(history.best["epoch"])
    assert epoch < 6
    assert [row["kept"] for row in history.rows] == [1, 2, 3, 4, 5, 6]
    assert same(weights(last), keep.weights[-1])
    assert same(weights(best), keep.weights[epoch - 1])
    for folder in ("last", "best"):
        for name, wanted in (("best", keep.weights[epoch - 1]), ("last", keep.weights[-1])):
            model = net(seed=7)
            load_weights(model, tmp_path / folder / f"{name}.safetensors")
            assert same(weights(model), wanted)
    fit(last, TRAIN, replace(VALIDATION, labels=1 - VALIDATION.labels), Settings(6, 1e-2, batch_size=10),
        folder=tmp_path / "last", restore="best")  # fmt: skip
    assert same(weights(last), keep.weights[epoch - 1])


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_patience(patience: int, tmp_path: Path) -> None:
    history, _ = overfit(tmp_path, net(), settings=Settings(30, 1e-2, batch_size=10, patience=patience))
    assert history.stopped == "patience"
    assert len(history) == history.best["epoch"] + patience < 30
    assert History.load(tmp_path).stopped == "patience"


def test_only_what_is_not_frozen_is_trained(tmp_path: Path) -> None:
    model = net()
    model[:2].requires_grad_(False)
    before = weights(model)
    train(model, tmp_path)
    changed = {name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    assert changed == {"5.weight", "5.bias"}  # nor are the running statistics of the frozen normalization


def test_everything_is_left_as_it_was(tmp_path: Path) -> None:
    model = net()
    model[1].eval()
    cudnn = torch.backends.cudnn
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True, warn_only=True)
    cudnn.benchmark = True
    try:

        def found() -> tuple[Any, ...]:
            return (
                [module.training for module in model.modules()],
                torch.get_rng_state().tolist(), random.getstate(), repr(np.random.get_state()),  # noqa: NPY002
                torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(),
                torch.are_deterministic_algorithms_enabled(), cudnn.benchmark, cudnn.deterministic,
                [len(module._forward_hooks) for module in model.modules()],
                [parameter.grad for parameter in model.parameters()],
            )  # fmt: skip

        before = found()
        with torch.no_grad():
            train(model, tmp_path, augment=noise, checkpoint_seconds=0)
        assert found() == before
        with pytest.raises(FloatingPointError):
            train(model, tmp_path / "bad", Settings(1, 1e30, batch_size=10, optimizer="sgd"))
        before[-1][:] = [parameter.grad for parameter in model.parameters()]
        assert found() == before
    finally:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)
        cudnn.benchmark = False


def test_the_seed_decides_and_the_global_generator_does_not(tmp_path: Path) -> None:
    found = {}
    for name, seed, state in (("a", 0, 1), ("b", 0, 2), ("c", 1, 1)):
        model = net()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            train(model, tmp_path / name, replace(SETTINGS, seed=seed), augment=noise)
        found[name] = weights(model)
    assert same(found["a"], found["b"])
    assert not same(found["a"], found["c"])


def test_old_gradients_do_not_matter(tmp_path: Path) -> None:
    model, other = net(), net()
    for parameter in other.parameters():
        parameter.grad = torch.ones_like(parameter)
    train(model, tmp_path / "a")
    train(other, tmp_path / "b")
    assert same(weights(model), weights(other))


def test_steps_are_told(tmp_path: Path) -> None:
    told: list[tuple[int, int, int]] = []
    train(net(), tmp_path, Settings(2, 1e-3, batch_size=15), on_step=lambda *step: told.append(step))
    assert told == [(1, 1, 3), (1, 2, 3), (1, 3, 3), (2, 1, 3), (2, 2, 3), (2, 3, 3)]


def test_a_finished_training_is_loaded_and_not_repeated(tmp_path: Path) -> None:
    model = net()
    history = train(model, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = net(seed=3)
    assert train(again, tmp_path, on_step=lambda *_: pytest.fail("trained")) == history
    assert same(weights(again), weights(model))
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_more_epochs_go_on_as_if_asked_for_at_once(tmp_path: Path) -> None:
    once, twice = net(), net()
    whole = train(once, tmp_path / "once", replace(SETTINGS, epochs=5), augment=noise)
    train(twice, tmp_path / "twice", replace(SETTINGS, epochs=2), augment=noise)
    history = train(net(), tmp_path / "twice", replace(SETTINGS, epochs=5), augment=noise)
    train(twice, tmp_path / "twice", replace(SETTINGS, epochs=5), augment=noise)
    assert same(weights(once), weights(twice))
    assert [{**row, "seconds": 0} for row in history.rows] == [{**row, "seconds": 0} for row in whole.rows]
    assert '"stopped"' not in "".join((tmp_path / "twice" / "history.jsonl").read_text().splitlines()[:-1])


def test_fewer_epochs_than_begun(tmp_path: Path) -> None:
    train(net(), tmp_path)
    with pytest.raises(
        ValueError, match=r"epochs: expected at least 3, as many as .* has begun, got 2; use another"
    ):
        train(net(), tmp_path, replace(SETTINGS, epochs=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": replace(SETTINGS, learning_rate=2.0)}, "the checkpoint has 0.001, this call 2.0"),
        ({"settings": replace(SETTINGS, seed=8)}, "settings.seed: the checkpoint has 0, this call 8"),
        ({"settings": replace(SETTINGS, patience=8)}, "patience: the checkpoint has None, this call 8"),
        ({"train": pictures(40, seed=9)}, "train: the checkpoint has"),
        ({"augment": noise}, "augment: the checkpoint has None, this call tests.training.samples.noise"),
        ({"augment": nn.Dropout(0.5)}, "augment: the checkpoint has None, this call Dropout(p=0.5"),
    ],
)  # fmt: skip
def test_another_training_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    train(net(), tmp_path)
    with pytest.raises(
        ValueError, match="holds a training with other settings or data; give the same"
    ) as caught:
        train(net(), tmp_path, change.pop("settings", replace(SETTINGS, epochs=4)), **change)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2  # one difference, and no other


def test_other_frozen_parameters_are_refused(tmp_path: Path) -> None:
    train(net(), tmp_path)
    model = net()
    model[0].requires_grad_(False)
    with pytest.raises(
        ValueError, match=r"trained parameters: the checkpoint has 6: 0.weight, .*, this call 4: 1.weight"
    ):
        train(model, tmp_path)


def test_another_model_is_refused(tmp_path: Path) -> None:
    train(net(), tmp_path)
    wider = net()
    wider[5] = nn.Linear(64, 1, bias=True).double()
    with pytest.raises(
        ValueError, match=r"of another model; 2 tensors differ, first 5\.weight: the model has float64"
    ):
        train(wider, tmp_path)


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd"])
def test_a_loss_that_is_not_finite(optimizer: str, tmp_path: Path) -> None:
    chosen = replace(SETTINGS, optimizer=optimizer)  # type: ignore[arg-type]
    message = "training: the loss is nan at epoch 1, step 1 of 4; no epoch was finished before. See that the"
    with pytest.raises(FloatingPointError, match=message) as caught:
        train(net(), tmp_path, chosen, augment=lambda inputs: inputs / 0)
    assert "with a lower learning_rate than 0.001" in str(caught.value)
    assert not list(tmp_path.iterdir())


class Breaks:
    """An augmentation that gives NaN from some batch on."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, inputs: Tensor) -> Tensor:
        self.left -= 1
        return inputs if self.left >= 0 else inputs * torch.nan


@pytest.mark.parametrize("checkpoint_seconds", [0, None])
def test_the_best_is_kept_when_the_loss_is_lost(checkpoint_seconds: float | None, tmp_path: Path) -> None:
    """Also of epochs so short that no checkpoint was due."""
    keep = Keep()
    message = r"the loss is nan at epoch 2, step 3 of 4; the weights of epoch 1, the best, are in "
    with pytest.raises(FloatingPointError, match=message) as caught:
        train(net(), tmp_path, augment=Breaks(6), callbacks=[keep], checkpoint_seconds=checkpoint_seconds)
    assert str(tmp_path / "best.safetensors") in str(caught.value)
    assert len(History.load(tmp_path)) == 1
    best = net(seed=2)
    load_weights(best, tmp_path / "best.safetensors")
    assert same(weights(best), keep.weights[0])
    model = net()
    assert len(train(model, tmp_path, augment=Breaks(99))) == 3  # goes on from before
    assert all(tensor.isfinite().all() for tensor in weights(model).values())


@pytest.mark.parametrize("checkpoint_seconds", [0, None])
def test_weights_that_are_not_finite_are_not_written(
    checkpoint_seconds: float | None, tmp_path: Path
) -> None:
    """The loss of the last step is finite, what it makes of the weights is not."""

    def ruin(epoch: int, step: int, steps: int) -> None:
        if (epoch, step) == (2, 4):
            model[5].weight.data.fill_(torch.inf)

    model = net()
    with pytest.raises(
        FloatingPointError, match="a weight is not finite at epoch 2, step 4 of 4; the weights of"
    ):
        train(model, tmp_path, on_step=ruin, checkpoint_seconds=checkpoint_seconds)
    again = net()
    assert len(train(again, tmp_path)) == 3


def test_a_validation_loss_that_is_not_finite(tmp_path: Path) -> None:
    bad = features(8)
    bad.inputs[3] = np.nan
    with pytest.raises(FloatingPointError, match="the validation loss is nan at epoch 1, step 2 of 2"):
        fit(dense(), features(8), bad, Settings(1, 0.1, batch_size=4), folder=tmp_path)


def test_lazy_modules(tmp_path: Path) -> None:
    found = []
    for folder in ("a", "b"):
        model = nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1), nn.Sigmoid())
        fit(model, TRAIN, VALIDATION, SETTINGS, folder=tmp_path / folder)
        found.append(weights(model))
    assert same(*found)
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1), nn.Sigmoid())
    train(model, tmp_path / "a")
    assert same(weights(model), found[0])


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 1)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.out(torch.relu(self.b(torch.relu(self.a(x))))))


def test_shared_weights(tmp_path: Path) -> None:
    data = features(20)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Tied()
        again = Tied()
    fit(model, data, data, SETTINGS, folder=tmp_path)
    fit(again, data, data, SETTINGS, folder=tmp_path)
    assert again.a.weight is again.b.weight
    assert same(weights(model), weights(again))


def test_hooks_of_the_user_stay_and_work(tmp_path: Path) -> None:
    """As masks of dead units are: a unit that is always 0 gets no gradient."""
    model = net(dropout=0.0)
    keep = torch.ones(4, 1, 1)
    keep[2] = 0
    model[2].register_forward_hook(lambda module, args, output: output * keep)
    before = weights(model)
    train(model, tmp_path)
    after = weights(model)
    assert torch.equal(after["1.weight"][2], before["1.weight"][2])
    assert not torch.equal(after["1.weight"][1], before["1.weight"][1])


def test_bfloat16(tmp_path: Path) -> None:
    model = net()
    history = train(model, tmp_path, Settings(8, 1e-2, batch_size=10, precision="bfloat16"))
    assert history.rows[-1]["validation_accuracy"] == 1
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_names_are_those_of_the_model_inside_a_wrapper(tmp_path: Path) -> None:
    wrapped = nn.DataParallel(net())
    wrapped.device_ids = []  # run on the CPU, where there are GPUs too
    train(wrapped, tmp_path)
    model = net(seed=4)
    train(model, tmp_path)
    assert same(weights(model), weights(wrapped.module))


def test_a_training_within_no_grad_and_inference_mode(tmp_path: Path) -> None:
    model, inside = net(), net()
    train(model, tmp_path / "a")
    with torch.inference_mode():
        train(inside, tmp_path / "b")
    assert same(weights(model), weights(inside))


def test_a_state_that_would_have_to_be_pickled(tmp_path: Path) -> None:
    class Extra(nn.Linear):
        def get_extra_state(self) -> Any:
            return {"any": "thing"}

        def set_extra_state(self, state: Any) -> None:
            pass

    model = net()
    model[5] = Extra(64, 1)
    with pytest.raises(TypeError, match="model: expected only tensors in its state dict, got dict under '5"):
        train(model, tmp_path)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"train": TRAIN.take([])}, ValueError, "train: expected at least one example, got none"),
        ({"augment": 3}, TypeError, "augment: expected a function of a batch, got int"),
        ({"callbacks": [3]}, TypeError, r"callbacks: expected functions \(epoch, model\), got int"),
        ({"restore": "first"}, ValueError, "restore: expected 'last' or 'best', got 'first'"),
        ({"checkpoint_seconds": -1}, ValueError, "checkpoint_seconds: expected 0 or more, or None, got -1"),
        ({"callbacks": [lambda e, m: {"loss": 1}]}, ValueError, "callbacks: expected names other than epoch"),
        ({"callbacks": [lambda e, m: {"x": "y"}]}, TypeError, "callbacks: expected a number as 'x', got str"),
        ({"callbacks": [lambda e, m: None]}, TypeError, "a mapping of names to numbers, which may be empty"),
        ({"train": replace(TRAIN, classes=("a", "b"))}, ValueError, "validation: expected the classes of"),
    ],
)  # fmt: skip
def test_wrong_arguments(wrong: dict[str, Any], error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        train(net(), tmp_path, **wrong)


def test_nothing_to_train(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="model: expected at least one parameter with requires_grad, got none; unfreeze"
    ):
        train(net().requires_grad_(False), tmp_path)


def test_three_classes_and_one_output(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"train: expected two classes for a model with one output, got 3 \(class 0,"
    ):
        train(net(), tmp_path, train=pictures(9, classes=3), validation=pictures(9, classes=3))


def test_numbers_of_callbacks_become_plain(tmp_path: Path) -> None:
    history = train(
        net(), tmp_path, callbacks=[lambda e, m: {"a": np.float32(0.5), "b": np.int64(e), "c": np.nan}]
    )
    assert [(row["a"], row["b"]) for row in history.rows] == [(0.5, 1), (0.5, 2), (0.5, 3)]
    assert repr(History.load(tmp_path)) == repr(history)


def test_the_model_is_not_copied(tmp_path: Path) -> None:
    model = net()
    parameters, before = list(model.parameters()), copy.deepcopy(weights(model))
    train(model, tmp_path)
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert not same(weights(model), before)


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
def test_on_a_gpu(precision: str, tmp_path: Path) -> None:
    model = net()
    state = torch.cuda.get_rng_state()
    settings = Settings(8, 1e-2, batch_size=10, device="cuda", precision=precision)  # type: ignore[arg-type]
    history = train(model, tmp_path, settings, augment=noise, checkpoint_seconds=0)
    assert history.rows[-1]["validation_accuracy"] == 1
    assert not model[0].weight.is_cuda
    assert torch.equal(torch.cuda.get_rng_state(), state)
    again = net(seed=2)
    assert train(again, tmp_path, settings, augment=noise) == history
    assert same(weights(again), weights(model))
