"""Small, randomly initialised models of Hugging Face Transformers, and their activations taken by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from neurocensus import reference
from neurocensus._torchvision import import_torchvision

pytest.importorskip("transformers", minversion="5.0")
with contextlib.suppress(ModuleNotFoundError):
    import_torchvision()  # transformers imports it where it is installed, whether its operators load or not

from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
)

VOCABULARY, WIDTH, NEURONS, HEADS = 61, 16, 24, 4

_SIZES = {"vocab_size": VOCABULARY, "num_hidden_layers": 2, "num_attention_heads": HEADS,
          "hidden_size": WIDTH, "max_position_embeddings": 32}  # fmt: skip
_GATED = {**_SIZES, "intermediate_size": NEURONS, "num_key_value_heads": 2}
_EXPERTS = {**_GATED, "num_experts_per_tok": 2}

_MODELS: Mapping[str, tuple[type[Any], type[Any], Mapping[str, Any]]] = {
    "opt": (OPTConfig, OPTForCausalLM, {**_SIZES, "ffn_dim": NEURONS, "word_embed_proj_dim": WIDTH}),
    "gpt2": (GPT2Config, GPT2LMHeadModel, {
        "vocab_size": VOCABULARY, "n_embd": WIDTH, "n_inner": NEURONS, "n_layer": 2, "n_head": HEADS,
        "n_positions": 32, "bos_token_id": 0, "eos_token_id": 0,
    }),
    "llama": (LlamaConfig, LlamaForCausalLM, _GATED),
    "mistral": (MistralConfig, MistralForCausalLM, _GATED),
    "bert": (BertConfig, BertModel, {**_SIZES, "intermediate_size": NEURONS}),
    "mixtral": (MixtralConfig, MixtralForCausalLM, {**_EXPERTS, "num_local_experts": 4}),
    "olmoe": (OlmoeConfig, OlmoeForCausalLM, {
        **_EXPERTS, "num_experts": 4, "pad_token_id": 0, "eos_token_id": 0,
    }),
    "qwen2_moe": (Qwen2MoeConfig, Qwen2MoeForCausalLM, {
        **_EXPERTS, "num_experts": 4, "moe_intermediate_size": NEURONS,
        "shared_expert_intermediate_size": 12,
    }),
}  # fmt: skip


def build(name: str, attention: str = "sdpa", **options: Any) -> nn.Module:
    """A model of that architecture, in eval mode, with weights that spread activations."""
    config, model, sizes = _MODELS[name]
    torch.manual_seed(0)
    built: nn.Module = model(config(**{**sizes, "attn_implementation": attention, **options}))
    for parameter in built.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.3)
    return built.eval()


def batch(lengths: list[int], padding: str = "right", seed: int = 0) -> dict[str, Tensor]:
    """Random tokens, padded to the longest sequence on that side, with their attention mask."""
    longest, generator = max(lengths), torch.Generator().manual_seed(seed)
    ids = torch.randint(1, VOCABULARY, (len(lengths), longest), generator=generator)
    mask = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
    if padding == "left":
        mask = mask.flip(1)
    return {"input_ids": ids * mask, "attention_mask": mask.long()}


@contextmanager
def watched(modules: Mapping[str, nn.Module], inputs: bool = False) -> Iterator[dict[str, list[Tensor]]]:
    """The outputs (or first inputs) of modules, by name, copied as they appear."""
    seen: dict[str, list[Tensor]] = {name: [] for name in modules}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: Any, output: Any = None) -> None:
            value = args[0] if inputs else output[0] if isinstance(output, tuple) else output
            seen[name].append(value.detach().clone())

        return hook

    register = nn.Module.register_forward_pre_hook if inputs else nn.Module.register_forward_hook
    handles = [register(module, keep(name)) for name, module in modules.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def census_of(
    outputs: list[Tensor], unit_axis: int = 2, masks: list[npt.NDArray[np.bool_]] | None = None
) -> reference.Census:
    """The reference's numbers of outputs, one after the other, under their masks."""
    arrays = [output.detach().double().numpy() for output in outputs]
    total = reference.empty(arrays[0].shape[unit_axis])
    for at, array in enumerate(arrays):
        mask = None if masks is None else masks[at]
        part = reference.census(array, unit_axis, mask=mask, first_example=total.next_example)
        total = reference.merge(total, part)
    return total
