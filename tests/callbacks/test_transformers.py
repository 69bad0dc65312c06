"""The callback in a real `Trainer` of Transformers, with OPT (ReLU) and GPT-2 (GELU), small and random."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import neurocensus as nc
from neurocensus.callbacks import Monitor, read_monitor
from neurocensus.callbacks.statistics import row_of

from .samples import expected_scalars, fail, framework, scalars_in

transformers = framework("transformers")
pytest.importorskip("accelerate")  # the trainer needs it
from neurocensus.callbacks import TransformersCallback  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pin_memory"),
    pytest.mark.filterwarnings("ignore:the mask does not fit"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:transformers.*"),
]

VOCABULARY, LENGTH = 32, 6
OPTIONS: dict[str, Any] = {"every_n_steps": 2, "log_every_n_steps": 4, "warn_over": 1}


def opt() -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = transformers.OPTForCausalLM(
        transformers.OPTConfig(
            vocab_size=VOCABULARY, hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=16, word_embed_proj_dim=16, dropout=0.0, attention_dropout=0.0,
        )
    )  # fmt: skip
    return model


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=16, n_inner=24,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    return model


def tokens(number: int, padded: bool = False) -> list[dict[str, torch.Tensor]]:
    """Texts of random tokens; `padded`: the second half of every other one is padding."""
    generator = torch.Generator().manual_seed(5)
    texts = torch.randint(VOCABULARY, (number, LENGTH), generator=generator)
    mask = torch.ones_like(texts)
    if padded:
        mask[::2, LENGTH // 2 :] = 0
    return [
        {"input_ids": text, "attention_mask": keep, "labels": text.where(keep > 0, -100)}
        for text, keep in zip(texts, mask, strict=True)
    ]


def trainer(model: nn.Module, folder: Path, data: list[dict[str, torch.Tensor]], **options: Any) -> Any:
    arguments = transformers.TrainingArguments(
        **{
            "output_dir": str(folder), "per_device_train_batch_size": 2, "per_device_eval_batch_size": 4,
            "max_steps": 8, "use_cpu": True, "report_to": "none", "save_strategy": "no", "disable_tqdm": True,
            "logging_strategy": "no", "learning_rate": 0.01, "lr_scheduler_type": "constant",
            "dataloader_pin_memory": False, "seed": 1, **options,
        }
    )  # fmt: skip
    made = transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=tokens(6))
    made.remove_callback(transformers.PrinterCallback)
    return made


class Batches(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
    """Keeps what a model is given in each step, and its weights then: what to audit by hand."""

    def __init__(self, model: nn.Module) -> None:
        self.seen: list[tuple[int, bool, dict[str, Any], dict[str, torch.Tensor]]] = []
        self.step = 0
        self.handle = model.register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        weights = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self.seen.append((self.step, module.training, dict(kwargs), weights))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.step = state.global_step


def by_hand(model: nn.Module, batches: Batches, folder: Path) -> list[dict[str, Any]]:
    """The rows of a `Monitor` that sees the same forwards of a model with the same weights."""
    batches.handle.remove()
    done = 0
    with Monitor(model, folder, mask="attention_mask", tensorboard=False, wandb=False, **OPTIONS) as monitor:
        for (step, training, given, weights), after in zip(
            batches.seen, [*batches.seen[1:], (batches.step, True, {}, {})], strict=True
        ):
            model.load_state_dict(weights)
            model.train(training)
            with torch.no_grad():
                model(**given)
            if not training and after[1]:
                monitor.evaluated()
            if after[0] > step:
                monitor.step(after[0])
                done = after[0]
    assert done == batches.step
    return read_monitor(folder)


@pytest.mark.parametrize("make", [opt, gpt2])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_rows_are_those_of_the_same_forwards_by_hand(tmp_path: Path, make: Any, accumulated: int) -> None:
    model = make()
    training = trainer(
        model, tmp_path / "out", tokens(32), gradient_accumulation_steps=accumulated, eval_strategy="steps",
        eval_steps=4,
    )  # fmt: skip
    batches = Batches(model)
    training.add_callback(batches)
    callback = TransformersCallback(tmp_path / "a", tensorboard=False, wandb=False, **OPTIONS)
    training.add_callback(callback)
    training.train()
    assert callback.monitor is not None
    assert not callback.monitor.is_open
    rows = read_monitor(tmp_path / "a")
    assert [(one["mode"], one["step"]) for one in rows] == [
        ("train", 4), ("eval", 4), ("train", 8), ("eval", 8),
    ]  # fmt: skip
    assert (
        rows[0]["examples"] == 2 * 2 * accumulated
    )  # steps 0 and 2, each of `accumulated` batches of 2 texts
    assert rows[1]["examples"] == 6
    layer = next(name for name in rows[0]["layers"] if name.endswith(("activation_fn", "mlp.act")))
    assert rows[0]["layers"][layer]["units"] == 24
    assert (rows[0]["layers"][layer]["zero_fraction"] > 0.1) == (make is opt)  # GELU gives no zeros
    assert repr(rows) == repr(by_hand(make(), batches, tmp_path / "b"))


def test_padding_is_not_counted(tmp_path: Path) -> None:
    model, data = gpt2(), tokens(4, padded=True)
    training = trainer(
        model, tmp_path / "out", data, max_steps=1, learning_rate=0.0, per_device_train_batch_size=4
    )
    options = {**OPTIONS, "every_n_steps": 1, "tensorboard": False, "wandb": False}
    training.add_callback(TransformersCallback(tmp_path / "a", **options))
    training.train()
    batch = {key: torch.stack([text[key] for text in data]) for key in ("input_ids", "attention_mask")}
    plain = row_of(nc.audit(model, [batch], mask="attention_mask"), "train", 0, 1)
    (found,) = read_monitor(tmp_path / "a")
    name = "transformer.h.0.mlp.act"
    assert found["layers"][name] == pytest.approx(plain["layers"][name], rel=1e-5)  # the order is shuffled
    whole = row_of(nc.audit(model, [batch]), "train", 0, 1)
    assert whole["layers"][name]["mean"] != pytest.approx(found["layers"][name]["mean"], rel=1e-3)


def test_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    data, rows = tokens(16), {}
    for name in ("whole", "two"):
        for steps in [8] if name == "whole" else [4, 8]:
            training = trainer(
                opt(), tmp_path / f"{name}-out", data, max_steps=steps, save_strategy="steps", save_steps=4
            )
            callback = TransformersCallback(tmp_path / name, tensorboard=False, wandb=False, **OPTIONS)
            training.add_callback(callback)
            training.train(resume_from_checkpoint=steps == 8 and name == "two")
        rows[name] = read_monitor(tmp_path / name)
    assert [one["step"] for one in rows["whole"]] == [4, 8]
    assert repr(rows["two"]) == repr(rows["whole"])


def test_scalars_go_where_the_trainer_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    training = trainer(
        opt(), tmp_path / "out", tokens(16), report_to="tensorboard", logging_strategy="steps",
        logging_steps=4, eval_strategy="steps", eval_steps=4,
    )  # fmt: skip
    training.add_callback(TransformersCallback(tmp_path / "a", training, **OPTIONS))
    training.train()
    rows = read_monitor(tmp_path / "a")
    found = {tag: v for tag, v in scalars_in(tmp_path / "events").items() if "activations/" in tag}
    # Where the trainer puts them: train/... and eval/...
    expected = {
        tag if tag.startswith("eval/") else f"train/{tag}": v for tag, v in expected_scalars(rows).items()
    }
    assert found.keys() == expected.keys()
    for tag, values in expected.items():
        assert found[tag] == pytest.approx(values, rel=1e-6)
    history = training.state.log_history
    assert [(one["step"], one["activations/nnu"]) for one in history if "activations/nnu" in one] == [
        (one["step"], one["nnu"]) for one in rows if one["mode"] == "train"
    ]
    assert [one["eval_activations/nnu"] for one in history if "eval_activations/nnu" in one] == [
        one["nnu"] for one in rows if one["mode"] == "eval"
    ]
    assert not any("layers" in key or key.count("/") > 1 for one in history for key in one)
    assert [one["step"] for one in history if "loss" in one] == [
        4,
        8,
    ]  # what the trainer logs is still logged
    assert not (tmp_path / "a" / "tensorboard").exists()


def test_an_evaluation_by_itself_is_not_of_a_training(tmp_path: Path) -> None:
    training = trainer(opt(), tmp_path / "out", tokens(4))
    callback = TransformersCallback(tmp_path / "a")
    training.add_callback(callback)
    training.evaluate()
    assert callback.monitor is None
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("same", [True, False])
def test_a_second_training_after_an_error(tmp_path: Path, same: bool) -> None:
    """Of one callback or of another in its folder, while the first one is still there."""
    model = opt()
    training = trainer(model, tmp_path / "out", tokens(16), max_steps=4)
    callback = TransformersCallback(tmp_path / "a", tensorboard=False, wandb=False, **OPTIONS)
    training.add_callback(callback)
    handle = model.register_forward_hook(fail)
    with pytest.raises(FloatingPointError, match="mine"):
        training.train()
    handle.remove()
    if not same:
        training.remove_callback(callback)
        training.add_callback(TransformersCallback(tmp_path / "a", tensorboard=False, wandb=False, **OPTIONS))
    training.train()
    assert callback.monitor is not None
    assert [one["step"] for one in read_monitor(tmp_path / "a")] == [4]
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_an_option_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(
        TypeError, match=r"layer: expected one of the options every_n_steps, .*no such option"
    ):
        TransformersCallback(tmp_path, layer="a")


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "neurocensus.callbacks.transformers")
    with pytest.raises(ImportError, match=r"needs Transformers: pip install 'neurocensus\[transformers\]'"):
        import neurocensus.callbacks.transformers  # noqa: F401
