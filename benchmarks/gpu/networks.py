"""Networks of full size to audit, with random weights: speed does not ask what a network has learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.gpu.bench import Missing
from benchmarks.gpu.sizes import Sizes

VOCABULARY = 8192


@dataclass(frozen=True)
class Network:
    """`make` gives the same model each time."""

    make: Callable[[], nn.Module]
    inputs: Tensor

    def on(
        self, device: str, dtype: torch.dtype, memory_format: torch.memory_format
    ) -> tuple[nn.Module, Tensor]:
        """The model in eval mode, and a batch."""
        torch.manual_seed(0)
        with torch.device(device):  # where many parameters are made in no time
            model = self.make().eval().to(device, dtype)
        model = model.to(memory_format=memory_format)  # type: ignore[call-overload]
        if not self.inputs.is_floating_point():
            return model, self.inputs.to(device)
        return model, self.inputs.to(device, dtype).contiguous(memory_format=memory_format)


def network(name: str, sizes: Sizes) -> Network:
    generator = torch.Generator().manual_seed(1)
    if name == "transformer":
        inputs = torch.randint(VOCABULARY, sizes.tokens, generator=generator)
        return Network(lambda: Transformer(sizes.depth, sizes.width, sizes.tokens[1]), inputs)
    try:
        from torchvision import models
    except Exception as error:  # not there, or made for another torch, which shows in many ways
        raise Missing(f"{name} was not audited: torchvision cannot be imported ({error})") from error
    inputs = torch.rand(sizes.batch, 3, sizes.image, sizes.image, generator=generator)
    return Network(lambda: getattr(models, name)(weights=None), inputs)


class Block(nn.Module):
    """Pre-norm attention and MLP, as in GPT-2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        examples, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(examples, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(examples, tokens, width))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Embeddings, blocks and a last norm; no head, whose logits would outweigh all the rest."""

    def __init__(self, depth: int, width: int, tokens: int) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(VOCABULARY, width), nn.Embedding(tokens, width)
        self.blocks = nn.ModuleList(Block(width, max(1, width // 64)) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.token(ids) + self.place(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.norm(x)
