from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import neurocensus as nc
from neurocensus import explain
from neurocensus.data import Examples
from neurocensus.explain import RecordEvery, ResponseRecorder, Responses, lives_of
from neurocensus.training import AuditEvery, Settings, curves, fit

from ...conftest import shared_data


def dense(seed: int = 0, inputs: int = 6) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [
            nn.Linear(inputs, 8),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(8, 5),
            nn.ReLU(),
            nn.Linear(5, 1),
        ]
        return nn.Sequential(*layers, nn.Sigmoid())


class FromScratch:
    """The same network without torch: an array model."""

    def __init__(self, model: nn.Sequential) -> None:
        self.weights = [
            (layer.weight.detach().numpy().astype(np.float64), layer.bias.detach().numpy().astype(np.float64))
            for layer in model
            if isinstance(layer, nn.Linear)
        ]

    def activations(self, x: Any) -> dict[str, Any]:
        out = {}
        for name, (weight, bias) in zip(("hidden1", "hidden2", "output"), self.weights, strict=True):
            x = x @ weight.T + bias
            x = 1 / (1 + np.exp(-x)) if name == "output" else np.maximum(x, 0)
            out[name] = x
        return out


X = torch.linspace(-2, 2, 18).reshape(3, 6)


def recorded(model: Any, inputs: Any, **options: Any) -> Responses:
    recorder = ResponseRecorder(model, inputs, **options)
    recorder.record(0)
    return recorder.responses()


class TestTorch:
    def test_values_are_the_model_s_own(self) -> None:
        model = dense().eval()
        found = recorded(model, X, names=["a", "b", "c"])
        first = model[:2](X)
        second = model[:5](X)
        assert list(found.layers) == ["1", "4", "6"]
        for name, wanted in (("1", first), ("4", second), ("6", model(X))):
            assert np.array_equal(found.layers[name][0], wanted.detach().numpy())
            assert np.array_equal(found.silent[name][0], wanted.detach().numpy() == 0)
        assert (found.model, found.inputs, found.steps.tolist()) == ("Sequential", ("a", "b", "c"), [0])

    @pytest.mark.parametrize("reduce", ["max", "mean"])
    def test_maps_are_reduced(self, reduce: Any) -> None:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv = nn.Conv2d(1, 4, 3)

            def forward(self, x: Tensor) -> Tensor:
                return F.hardswish(self.conv(x))

        torch.manual_seed(0)
        model, x = Net(), torch.randn(2, 1, 5, 5) * 4
        found = recorded(model, x, reduce=reduce)
        maps = model(x).detach()
        wanted = maps.amax((2, 3)) if reduce == "max" else maps.mean((2, 3))
        assert np.allclose(found.layers["hardswish"][0], wanted.numpy(), rtol=1e-6)
        assert found.reduce == reduce

    def test_a_map_of_negative_values_and_zeros_is_not_silent(self) -> None:
        found = recorded(nn.Hardswish(), torch.tensor([[[-1.0, -5.0]], [[-4.0, -5.0]]]), unit_axis=1)
        assert found.layers["Hardswish"].ravel().tolist() == [0, 0]
        assert found.silent["Hardswish"].ravel().tolist() == [False, True]

    def test_layers_and_axes_are_those_of_an_audit(self) -> None:
        assert list(recorded(dense(), X, layers=["4"]).layers) == ["4"]
        sequence = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
        x = torch.randn(7, 3, 6)
        found = recorded(sequence, x, example_axis=1)
        assert np.array_equal(found.layers["1"][0], sequence(x).detach().amax(0).numpy())

    def test_batches_may_be_tuples_dicts_or_anything_with_forward(self) -> None:
        wanted = recorded(dense(), X)
        of_examples = Examples(X.numpy(), np.array([0, 1, 0]), ("a", "b")).batch(slice(None))
        custom = recorded(dense(), [X], forward=lambda model, batch: model(batch[0]), names=["a", "b", "c"])
        for found in (recorded(dense(), of_examples), custom):
            assert np.array_equal(found.layers["4"], wanted.layers["4"])

    def test_a_wrapped_model_is_that_inside(self) -> None:
        model = dense()
        recorder = ResponseRecorder(torch.compile(model, backend="eager"), X)
        assert recorder.model is model
        recorder.record(0)
        assert np.array_equal(recorder.responses().layers["4"], recorded(model, X).layers["4"])

    def test_the_model_is_left_as_it_was_found(self) -> None:
        model = dense()
        model[4].eval()
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model(X).sum().backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        random = torch.get_rng_state()
        recorder = ResponseRecorder(model, X)
        recorder.record(0)
        assert torch.equal(torch.get_rng_state(), random)
        assert [module.training for module in model] == [True] * 4 + [False] + [True] * 2
        assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
        assert all(map(torch.equal, (p.grad for p in model.parameters()), gradients))
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
        assert model(X).requires_grad

    def test_a_model_that_works_in_place_sees_the_same_inputs_each_time(self) -> None:
        class Net(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return F.relu(x.add_(1))

        x = X.clone()
        recorder = ResponseRecorder(Net(), x)
        assert torch.equal(x, X)
        for step in range(2):
            recorder.record(step)
        x.zero_()
        recorder.record(2)
        assert np.array_equal(recorder.responses().layers["relu"], F.relu(X + 1).expand(3, 3, 6).numpy())

    def test_positions_folded_into_rows_are_those_of_their_inputs(self) -> None:
        class Net(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return F.relu(x.reshape(-1, 2)).reshape(len(x), -1)

        expected = F.relu(X).reshape(3, 3, 2).amax(1)
        assert np.array_equal(recorded(Net(), X).layers["relu"][0], expected.numpy())

    def test_layers_without_a_row_for_each_input_are_left_out(self) -> None:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.tokens, self.head = nn.Linear(2, 4), nn.Linear(12, 1)

            def forward(self, x: Tensor) -> Tensor:
                rows = x.reshape(-1, 2)
                picked = rows[torch.arange(len(rows))]  # whose they are is not known any more
                return self.head(F.relu(self.tokens(picked)).reshape(len(x), -1))

        with pytest.warns(UserWarning, match="not recorded: relu: 9 rows for 3 inputs"):
            found = recorded(Net(), X)
        assert list(found.layers) == ["head"]
        with (
            pytest.warns(UserWarning, match="not recorded"),
            pytest.raises(
                ValueError, match="layers: expected one with a row for each of the 3 inputs, got none"
            ),
        ):
            recorded(Net(), X, layers=["relu"])


class TestArrays:
    def test_the_same_network_gives_the_same_answers(self) -> None:
        model = dense()
        ours, theirs = recorded(FromScratch(model), X.double().numpy()), recorded(model, X)
        assert list(ours.layers) == ["hidden1", "hidden2", "output"]
        for a, b in zip(ours.layers.values(), theirs.layers.values(), strict=True):
            assert a.dtype == np.float32
            assert np.allclose(a, b, rtol=1e-4, atol=1e-6)
        assert ours.model == "FromScratch"
        assert [a.any() for a in ours.silent.values()] == [True, True, False]

    def test_inputs_are_the_recorder_s_own_and_small_values_are_not_silent(self) -> None:
        class Net:
            def activations(self, x: Any) -> dict[str, Any]:
                x *= 0.5
                return {"a": x}

        x = np.array([[4.0, 1e-300, 1e300, 0]])
        recorder = ResponseRecorder(Net(), x)
        for step in range(2):
            recorder.record(step)
        assert x[0, 0] == 4
        x[:] = 0
        recorder.record(2)
        assert recorder.responses().layers["a"].tolist() == [[[2, 0, np.inf, 0]]] * 3
        assert recorder.responses().silent["a"].tolist() == [[[False, False, False, True]]] * 3

    @pytest.mark.parametrize("layers", [["output", "hidden1"], re.compile("1|put")])
    def test_some_layers(self, layers: Any) -> None:
        assert list(recorded(FromScratch(dense()), X.numpy(), layers=layers).layers) == ["hidden1", "output"]

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"layers": "modules"}, ValueError, "layers: expected 'activations', .*got 'modules'"),
            ({"layers": ["hiden1"]}, ValueError, "no layer 'hiden1'. Did you mean 'hidden1'"),
            ({"layers": re.compile("x")}, ValueError, "layers: expected at least one of .*chooses none"),
            ({"unit_axis": 1}, TypeError, "unit_axis: expected none with a model without torch, got 1"),
            ({"forward": print}, TypeError, "forward: expected none with a model without torch"),
        ],
    )
    def test_what_it_does_not_have(self, options: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            recorded(FromScratch(dense()), X.numpy(), **options)

    @pytest.mark.parametrize("wrong", [np.ones((3, 2, 2)), np.ones((2, 4)), np.ones((3, 4), int)])
    def test_activations_that_are_none(self, wrong: Any) -> None:
        class Wrong:
            def activations(self, x: Any) -> dict[str, Any]:
                return {"a": wrong}

        with pytest.raises(
            ValueError, match=r"model: expected activations to give floating-point arrays \(3, units\)"
        ):
            recorded(Wrong(), X.numpy())

    def test_no_torch_is_needed(self) -> None:
        script = """
            import sys
            import numpy as np
            from neurocensus.explain import ResponseRecorder, lives_sheet
            class Net:
                def activations(self, x): return {"a": np.maximum(x, 0)}
            recorder = ResponseRecorder(Net(), np.array([[-1.0, 2.0]]))
            recorder.record(0)
            recorder.record(1)
            str(lives_sheet(recorder.responses().lives()))
            print(sorted({"torch", "matplotlib"} & set(sys.modules)))
        """
        code = "\n".join(line[12:] for line in script.splitlines())
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"


class TestSteps:
    def test_come_in_order_and_replace_those_of_the_same_number(self) -> None:
        model = dense()
        recorder = ResponseRecorder(model, X)
        for step in (5, 0):
            recorder.record(step)
        with torch.no_grad():
            model[0].weight.zero_()
        recorder.record(5)
        assert recorder.steps == (0, 5)
        values = recorder.responses().layers["1"]
        assert not np.array_equal(values[0], values[1])

    @pytest.mark.parametrize("folder", [False, True])
    def test_a_training_that_goes_back_forgets(self, tmp_path: Path, folder: bool) -> None:
        recorder = ResponseRecorder(dense(), X, folder=tmp_path / "f" if folder else None)
        for step in (0, 10, 20):
            recorder.record(step)
        recorder.forget(10)
        assert recorder.steps == (0,)
        if folder:
            assert [path.name for path in (tmp_path / "f").iterdir()] == ["step-00000000.safetensors"]

    @pytest.mark.parametrize(
        ("step", "error", "message"),
        [
            (1.0, TypeError, "step: expected an integer, got float"),
            (-1, ValueError, "step: expected at least 0"),
        ],
    )
    def test_that_are_none(self, step: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            ResponseRecorder(dense(), X).record(step)

    def test_other_layers_than_before(self) -> None:
        model = dense()
        recorder = ResponseRecorder(model, X)
        recorder.record(0)
        model[3] = nn.Linear(8, 9)
        model[5] = nn.Linear(9, 1)
        with pytest.raises(
            ValueError, match=r"layers: expected those recorded at step 0.*'4': 5.*'4': 9.*at step 1"
        ):
            recorder.record(1)
        assert recorder.steps == (0,)

    def test_nothing_recorded(self) -> None:
        with pytest.raises(
            ValueError, match=r"responses: expected at least one record.*call record\(step\) first"
        ):
            ResponseRecorder(dense(), X).responses()


class TestFolder:
    def test_records_are_taken_up(self, tmp_path: Path) -> None:
        before = ResponseRecorder(dense(), X, folder=tmp_path)
        before.record(0)
        before.record(7)
        again = ResponseRecorder(dense(), X, folder=str(tmp_path))
        assert again.steps == (0, 7)
        again.record(8)
        whole = Responses.load(tmp_path)
        assert whole.steps.tolist() == [0, 7, 8]
        assert np.array_equal(whole.layers["4"], again.responses().layers["4"])

    @pytest.mark.parametrize(
        ("model", "inputs", "options", "what"),
        [
            (dense, X + 1, {}, "inputs"),
            (dense, X, {"names": ["a", "b", "c"]}, "names"),
            (dense, X, {"reduce": "mean"}, "reduce"),
            (lambda: FromScratch(dense()), X.numpy(), {}, "model"),
        ],
    )
    def test_of_something_else(
        self, tmp_path: Path, model: Callable[[], Any], inputs: Any, options: Any, what: str
    ) -> None:
        ResponseRecorder(dense(), X, folder=tmp_path).record(4)
        with pytest.raises(
            ValueError, match=f"folder: expected records of the same {what}.*at step 4.*use another"
        ):
            ResponseRecorder(model(), inputs, folder=tmp_path, **options)

    def test_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "f").touch()
        with pytest.raises(NotADirectoryError, match="folder: expected a folder or a free name, got a file"):
            ResponseRecorder(dense(), X, folder=tmp_path / "f")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"model": "net"},
            TypeError,
            r"model: expected a torch.nn.Module, or an object with .*activations.*got str",
        ),
        ({"reduce": "sum"}, ValueError, "reduce: expected 'max' or 'mean', got 'sum'"),
        ({"names": ["a"]}, ValueError, "names: expected one for each of 3 inputs, got 1"),
        ({"names": "abc"}, TypeError, "names: expected a list of text, one for each input, got 'abc'"),
        ({"inputs": X[:0]}, ValueError, "inputs: expected at least one, got none"),
        (
            {"inputs": {"x": 3}},
            ValueError,
            "names: expected a name for each input, as the batch does not show",
        ),
        ({"layers": ["nine"]}, ValueError, "the model has no layer 'nine'"),
        (
            {"model": FromScratch(dense()), "inputs": 3},
            ValueError,
            "inputs: expected an array with an axis of inputs",
        ),
    ],
)
def test_errors(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ResponseRecorder(**{"model": dense(), "inputs": X, **arguments})


class Killed(Exception):
    pass


def examples(count: int = 24) -> Examples:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    return Examples(
        (rng.normal(size=(count, 6)) + labels[:, None]).astype(np.float32), labels, ("low", "high")
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture at the end of a training, and no waiting for the disk."""
    from matplotlib.figure import Figure

    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    monkeypatch.setattr(curves, "plot_history", lambda histories: Figure((1, 1)))


@pytest.mark.usefixtures("quick")
class TestInTraining:
    def train(
        self, folder: Path, *, killed_after: int | None = None, every: int = 2, **options: Any
    ) -> Responses:
        """Train for 8 epochs, as a new process would; `checkpoints` are far apart."""

        def kill(epoch: int, model: nn.Module) -> dict[str, float]:
            if epoch == killed_after:
                raise Killed
            return {}

        model, data = dense(), examples()
        recorder = ResponseRecorder(model, X, folder=folder / "responses")
        callbacks = [RecordEvery(every, recorder), kill]
        fit(
            model,
            data,
            data,
            Settings(8, 0.01, batch_size=8),
            folder=folder / "run",
            callbacks=callbacks,
            **options,
        )
        return recorder.responses()

    def test_every_other_epoch_from_the_start(self, tmp_path: Path) -> None:
        found = self.train(tmp_path)
        assert found.steps.tolist() == [0, 2, 4, 6, 8]
        assert np.array_equal(found.layers["4"][0], recorded(dense(), X).layers["4"][0])
        trained = dense()
        trained.load_state_dict(weights_in(tmp_path / "run" / "last.safetensors"))
        assert np.array_equal(found.layers["4"][-1], recorded(trained, X).layers["4"][0])

    @pytest.mark.parametrize("killed_after", [1, 2, 5, 6])
    @pytest.mark.parametrize("checkpoint_seconds", [0, None])
    def test_killed_and_resumed_it_is_as_if_it_had_never_stopped(
        self, tmp_path: Path, killed_after: int, checkpoint_seconds: Any
    ) -> None:
        """Without checkpoints in time, what was recorded since the last one is made anew."""
        whole = self.train(tmp_path / "whole")
        options = {"checkpoint_seconds": checkpoint_seconds}
        with pytest.raises(Killed):
            self.train(tmp_path / "cut", killed_after=killed_after, **options)
        for found in (
            self.train(tmp_path / "cut", **options),
            Responses.load(tmp_path / "cut" / "responses"),
        ):
            assert found.steps.tolist() == whole.steps.tolist()
            for name, values in whole.layers.items():
                assert np.array_equal(found.layers[name], values)

    def test_another_training_leaves_nothing_of_the_one_before(self, tmp_path: Path) -> None:
        self.train(tmp_path)
        (tmp_path / "run").rename(tmp_path / "old")
        assert self.train(tmp_path, every=3).steps.tolist() == [0, 3, 6]

    def test_it_changes_nothing(self, tmp_path: Path) -> None:
        self.train(tmp_path / "with")
        model, data = dense(), examples()
        fit(model, data, data, Settings(8, 0.01, batch_size=8), folder=tmp_path / "without")
        with_it = weights_in(tmp_path / "with" / "run" / "last.safetensors")
        assert all(torch.equal(tensor, with_it[name]) for name, tensor in model.state_dict().items())

    def test_what_is_dead_over_the_data_is_dead_on_some(self, tmp_path: Path) -> None:
        """Audits tell what the responses to all examples do; on a few of them more units are dead."""
        model, data = dense(3), examples()
        recorders = [ResponseRecorder(model, data.batch(chosen)) for chosen in (slice(None), slice(2))]
        audits = AuditEvery(1, data, folder=tmp_path / "audits")
        callbacks = [*(RecordEvery(1, recorder) for recorder in recorders), audits]
        fit(model, data, data, Settings(6, 0.05, batch_size=8), folder=tmp_path / "run", callbacks=callbacks)
        files = sorted((tmp_path / "audits").iterdir())
        told = lives_of({int(a.annotations["epoch"]): a for a in map(nc.load, files)})
        everything, few = (recorder.responses().lives() for recorder in recorders)
        assert any(lives.dead.any() for lives in told.values())
        for name, lives in told.items():
            assert lives.steps.tolist() == everything[name].steps.tolist()[1:]
            assert np.array_equal(lives.dead, everything[name].dead[1:])
            assert (lives.dead <= few[name].dead[1:]).all()

    def test_what_is_recorded_already_is_left(self) -> None:
        recorder = ResponseRecorder(dense(), X)
        recorder.record(5)
        RecordEvery(1, recorder)
        assert recorder.steps == (5,)

    def test_another_model(self, tmp_path: Path) -> None:
        every = RecordEvery(1, ResponseRecorder(dense(), X))
        with pytest.raises(ValueError, match="recorder: expected one of the model in training"):
            fit(dense(), examples(), examples(), Settings(1, 0.01), folder=tmp_path, callbacks=[every])

    @pytest.mark.parametrize(
        ("epochs", "recorder", "error", "message"),
        [
            (0, None, ValueError, "epochs: expected at least 1, got 0"),
            (1.0, None, TypeError, "epochs: expected an integer, got float"),
            (1, dense(), TypeError, "recorder: expected a ResponseRecorder, got Sequential"),
        ],
    )
    def test_errors(self, epochs: Any, recorder: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            RecordEvery(epochs, recorder or ResponseRecorder(dense(), X))


def weights_in(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def test_real_images_show_units_that_never_answer() -> None:
    """A network of the thesis's form: what is flat on three cats and others is told from what moves."""
    with np.load(shared_data("catvnoncat.npz")) as file:
        x = torch.from_numpy(file["x_train"][:, ::4, ::4].reshape(209, -1).astype(np.float32) / 255)
        y = torch.from_numpy(file["y_train"].astype(np.float32))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(768, 20), nn.ReLU(), nn.Linear(20, 1), nn.Sigmoid())
    with torch.no_grad():
        model[0].weight.mul_(1.7)
    recorder = explain.ResponseRecorder(model, x[[2, 7, 30]], names=["cat", "another cat", "no cat"])
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    audits = {}
    for step in range(61):
        if step % 20 == 0:
            recorder.record(step)
            audits[step] = nc.audit(model, [x], progress=False)
        optimizer.zero_grad()
        F.binary_cross_entropy(model(x)[:, 0], y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    responses = recorder.responses()
    flat, dead = responses.flat("1"), responses.dead("1").all(axis=0)
    assert 0 < flat.sum() < 20
    assert np.array_equal(flat, dead)
    assert (lives_of(audits)["1"].dead <= responses.dead("1")).all()
