"""131,072 features over a stream of tokens: exact counts, with memory for features and not for tokens."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import torch
from torch import Tensor, nn

from neurocensus.auditor import audit

FEATURES, WIDTH = 131_072, 16
STATE = 80 * FEATURES / 2**20  # MiB: ten words a unit

MEASURED = f"""
import gc, resource
import torch
from torch import nn
from neurocensus.auditor import audit

torch.set_num_threads(1)
sae = nn.Sequential(nn.Linear({WIDTH}, {FEATURES}), nn.ReLU(), nn.Linear({FEATURES}, {WIDTH}))

def stream(chunks):
    for _ in range(chunks):
        yield torch.randn(32, {WIDTH})

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

with torch.inference_mode():
    for x in stream(4):
        sae(x)
peaks = [peak()]
for chunks in (4, 60):
    audit(sae, stream(chunks), layers=["1"], progress=False, threads=1)
    gc.collect()
    peaks.append(peak())
print(*peaks)
"""


class TopK(nn.Module):
    """The k strongest of each token; no activation function of torch, so it is asked for by name."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        best = x.topk(self.k, dim=-1)
        return torch.zeros_like(x).scatter_(-1, best.indices, best.values)


def test_memory_is_for_features_and_does_not_grow_with_tokens() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, timeout=120, check=True
    )
    plain, few, many = map(float, done.stdout.split())
    assert few - plain < 3 * STATE  # the state, and the copy that is the result
    assert many - few < STATE  # 15 times the tokens


def test_the_features_of_a_sparse_auto_encoder() -> None:
    """As torch counts them, with all tokens in memory; the argmax is a token of the stream."""
    torch.manual_seed(0)
    k, chunks = 8, [torch.randn(tokens, WIDTH) for tokens in (20, 1, 7)]
    sae = nn.Sequential(nn.Linear(WIDTH, FEATURES), TopK(k), nn.Linear(FEATURES, WIDTH))
    layer = audit(sae, chunks, layers=["1"], progress=False).layers["1"]
    with torch.no_grad():
        every = torch.cat([sae[:2](x) for x in chunks])
    assert (layer.units, layer.examples) == (FEATURES, 28)
    np.testing.assert_array_equal(layer.state.nonzero, (every != 0).sum(0))
    np.testing.assert_array_equal(layer.state.max, every.amax(0))
    assert layer.dead == int((every == 0).all(0).sum()) >= FEATURES - 28 * k
    strongest = int(every.amax(0).argmax())
    assert layer.argmax[strongest] == int(every[:, strongest].argmax())
