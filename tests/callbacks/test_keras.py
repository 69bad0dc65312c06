"""The callback in ``model.fit`` of Keras 3 on the torch backend."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neurocensus as nc
from neurocensus.callbacks import Monitor, read_monitor
from neurocensus.capture.keras import as_torch_modules

from .samples import fail, framework, scalars_in

# Keras has one backend a process, and reads its settings from its home when it is imported.
os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp(prefix="keras-"))
keras = framework("keras")
from neurocensus.callbacks import KerasCallback  # noqa: E402

OPTIONS: dict[str, Any] = {"every_n_steps": 2, "log_every_n_steps": 4, "warn_over": 1}
FILES: dict[str, Any] = {"tensorboard": False, "wandb": False, **OPTIONS}


def images(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.random((number, 8, 8, 3), np.float32), generator.random((number, 2), np.float32)


def sequential(accumulated: int | None = None) -> Any:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(),
            layers.Dense(6, name="hidden"),
            layers.ReLU(name="act"),
            layers.Dense(2, name="out"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01, gradient_accumulation_steps=accumulated), "mse")
    return model


class Subclassed(keras.Model):  # type: ignore[misc, name-defined]
    """Layers in a list, and torch's own."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [keras.layers.Dense(5, activation="gelu", name=f"block{i}") for i in range(2)]
        self.torch_part = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ReLU())

    def call(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.torch_part(x)


def functional() -> Any:
    inner_in = keras.Input((5,))
    inner = keras.Model(
        inner_in, keras.layers.Dense(4, activation="relu", name="up")(inner_in), name="encoder"
    )
    whole_in = keras.Input((5,), name="x")
    return keras.Model(whole_in, keras.layers.Dense(2, name="out")(inner(inner(whole_in)[:, :1] + whole_in)))


def own_loop(
    folder: Path, x: np.ndarray, y: np.ndarray, steps: int, accumulated: int = 1
) -> list[dict[str, Any]]:
    """``fit`` by hand: batches of 4 in order, a validation on the first 6 images at the end of an epoch."""
    model = sequential(None if accumulated == 1 else accumulated)
    model.fit(x[:4], y[:4], epochs=0, verbose=0)  # runs the model once, to see what it gives
    with Monitor(model, folder, **FILES) as monitor:
        for _ in range(2):
            model.train()
            for batch in range(steps * accumulated):
                at = slice(4 * batch, 4 * batch + 4)
                model.train_on_batch(x[at], y[at])
                if (batch + 1) % accumulated == 0:
                    monitor.step()
            model.eval()
            for batch in (x[:4], x[4:6]):
                model.test_on_batch(batch, y[: len(batch)])
            monitor.evaluated()
    return read_monitor(folder)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_rows_are_those_of_the_same_training_by_hand(tmp_path: Path, accumulated: int) -> None:
    steps = 5
    x, y = images(4 * steps * accumulated)
    model = sequential(None if accumulated == 1 else accumulated)
    callback = KerasCallback(tmp_path / "a", **FILES)
    model.fit(
        x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=[callback],
        validation_data=(x[:6], y[:6]), validation_batch_size=4,
    )  # fmt: skip
    rows = read_monitor(tmp_path / "a")
    assert [(one["mode"], one["step"]) for one in rows] == [
        ("train", 4), ("eval", 5), ("train", 8), ("eval", 10), ("train", 10),
    ]  # fmt: skip
    assert rows[0]["examples"] == 2 * 4 * accumulated
    # Batch normalization is arithmetic in Keras, which is no layer by the default rule.
    assert list(rows[0]["layers"]) == ["conv.relu", "pool.max_pool2d", "act.relu", "out"]
    assert repr(rows) == repr(own_loop(tmp_path / "b", x, y, steps, accumulated))
    assert (tmp_path / "a" / "activations.png").exists()
    assert callback.monitor is not None
    assert not callback.monitor.is_open
    assert not any(layer._forward_pre_hooks for layer in model.layers)


def test_a_second_fit_goes_on(tmp_path: Path) -> None:
    x, y = images(4 * 5)
    model = sequential()
    for _ in range(2):
        model.fit(x, y, batch_size=4, verbose=0, callbacks=[KerasCallback(tmp_path, **FILES)])
    assert [one["step"] for one in read_monitor(tmp_path)] == [4, 5, 8, 10]


class Fails(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
    """Ends a training with an error."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 2:
            fail()


@pytest.mark.parametrize("same", [True, False])
def test_a_training_after_an_error(tmp_path: Path, same: bool) -> None:
    """Of one callback or of another in its folder, while the error keeps the first one alive."""
    x, y = images(4 * 5)
    model, callback = sequential(), KerasCallback(tmp_path, **FILES)
    with pytest.raises(FloatingPointError, match="mine") as caught:
        model.fit(x, y, batch_size=4, verbose=0, callbacks=[callback, Fails()])
    again = callback if same else KerasCallback(tmp_path, **FILES)
    model = sequential()
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[again])
    assert caught.value.__traceback__ is not None
    assert callback.monitor is not None
    assert not callback.monitor.is_open
    assert [one["step"] for one in read_monitor(tmp_path)] == [4, 5]
    assert [one["step"] for one in read_monitor(tmp_path / "activations-1.jsonl")] == [3]


def test_two_callbacks_in_one_folder_do_not_mix_their_rows(tmp_path: Path) -> None:
    x, y = images(4 * 5)
    both = [KerasCallback(tmp_path, **FILES) for _ in range(2)]
    with pytest.raises(
        RuntimeError, match=r"not at work: .* a callback began another training in its folder"
    ):
        sequential().fit(x, y, batch_size=4, verbose=0, callbacks=both)
    for callback in both:  # Keras does not tell them of the error
        assert callback.monitor is not None
        callback.monitor.abort()


def test_scalars_go_to_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    x, y = images(4 * 4)
    sequential().fit(x, y, batch_size=4, verbose=0, callbacks=[KerasCallback(tmp_path, **OPTIONS)])
    (one,) = read_monitor(tmp_path)
    assert scalars_in(tmp_path / "tensorboard")["activations/nnu/act.relu"] == pytest.approx(
        {4: one["layers"]["act.relu"]["nnu"]}
    )


def test_an_evaluation_by_itself_is_not_of_a_training(tmp_path: Path) -> None:
    callback = KerasCallback(tmp_path / "unused", **FILES)
    sequential().evaluate(*images(4), verbose=0, callbacks=[callback])
    assert callback.monitor is None
    assert not (tmp_path / "unused").exists()


class TestModules:
    """What torch sees of a Keras model."""

    def test_numbers_are_those_of_the_outputs_of_its_layers(self) -> None:
        model, (x, _) = sequential(), images(7)
        audit = nc.audit(model, [torch.from_numpy(x)])
        assert all(layer.training for layer in model.layers)
        assert not audit.warnings
        names = {"conv.relu": "conv", "pool.max_pool2d": "pool", "act.relu": "act", "out": "out"}
        assert list(audit.layers) == list(names)
        probe = keras.Model(model.inputs[0], [model.get_layer(name).output for name in names.values()])
        for layer, values in zip(audit.layers.values(), probe(x), strict=True):
            flat = values.detach().numpy().reshape(-1, layer.units)
            np.testing.assert_allclose(layer.state.max, flat.max(0), rtol=1e-5, err_msg=layer.name)
            np.testing.assert_array_equal(layer.state.nonzero, np.count_nonzero(flat, axis=0))

    def test_the_model_is_left_as_it_was(self) -> None:
        model = sequential()
        modules, state = [name for name, _ in model.named_modules()], list(model.state_dict())
        keys = [sorted(layer.__dict__) for layer in model.layers]
        with pytest.raises(FloatingPointError, match="mine"), as_torch_modules(model):  # noqa: PT012
            inside = [name for name, _ in model.named_modules()]
            model(images(1)[0])  # it still runs
            fail()
        assert ["", *(layer.name for layer in model.layers)] == [
            n for n in inside if not n.startswith("input")
        ]
        assert [name for name, _ in model.named_modules()] == modules
        assert list(model.state_dict()) == state
        assert [sorted(layer.__dict__) for layer in model.layers] == keys

    def test_layers_in_lists_and_modules_of_torch(self) -> None:
        model = Subclassed()
        model(np.zeros((1, 4), np.float32))
        audit = nc.audit(model, [torch.randn(3, 4)])
        (first, second, third) = audit.layers
        assert (first, second) == ("block0.gelu", "block1.gelu")
        assert third.endswith(".module.1")
        assert [layer.units for layer in audit.layers.values()] == [5, 5, 3]

    def test_a_model_in_a_model_that_is_called_twice(self) -> None:
        model = functional()
        audit = nc.audit(model, [torch.randn(3, 5)])
        assert list(audit.layers) == ["encoder.up.relu", "encoder.up.relu:2", "out"]

    def test_layers_of_one_name(self) -> None:
        class Alike(keras.Model):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.parts = [keras.layers.ReLU(name="same") for _ in range(3)]

            def call(self, x: Any) -> Any:
                for part in self.parts:
                    x = part(x)
                return x

        model = Alike()
        with as_torch_modules(model):
            assert [name for name, _ in model.named_modules()] == ["", "same", "same_2", "same_3"]


@pytest.mark.parametrize("name", ["evry_n_steps", "model"])
def test_an_option_that_there_is_not(tmp_path: Path, name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}: expected one of the options every_n_steps, "):
        KerasCallback(tmp_path, **{name: 1})


def test_another_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(
        RuntimeError, match="expected Keras on the torch backend, got 'jax'; set the environment"
    ):
        KerasCallback(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="there is TensorFlow")
def test_a_backend_that_is_not_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from neurocensus.callbacks import KerasCallback"],
        capture_output=True, text=True, timeout=120, env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )  # fmt: skip
    assert done.returncode != 0
    assert "ImportError: KerasCallback needs Keras on the torch backend, not on one that needs" in done.stderr
    assert "set the environment variable KERAS_BACKEND=torch before anything imports keras" in done.stderr


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "neurocensus.callbacks.keras")
    with pytest.raises(ImportError, match=r"needs Keras 3: pip install 'neurocensus\[keras\]'"):
        import neurocensus.callbacks.keras  # noqa: F401
