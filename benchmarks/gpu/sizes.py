"""How large everything is: on a GPU, and on the CPU, where a dry run only shows that it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Sizes:
    shapes: Mapping[str, Shape]  # by layout
    rotation: int  # bytes that are gone through before a buffer is read again: several times the L2 cache
    fewest_calls: int  # in one timing
    rounds: int
    small_calls: int
    warm_up: float  # seconds of work until the clocks have risen
    image: int
    batch: int
    tokens: tuple[int, int]  # sequences, length
    width: int
    depth: int
    forwards: float  # seconds of forwards in one timing
    audit_rounds: int
    peer_rounds: int
    backend: str  # of torch.compile


GPU = Sizes(
    shapes={
        "rows": (64, 64, 128, 128),
        "columns": (16384, 4096),
        "channels_last": (64, 64, 128, 128),
        "tokens": (32, 512, 4096),
        "odd rows": (48, 64, 149, 149),
        "odd columns": (16411, 4097),
        "few units": (1 << 20, 64),
        "many units": (512, 1 << 17),
        "large rows": (256, 64, 128, 128),
        "large columns": (1 << 16, 4096),
    },
    rotation=1 << 29,
    fewest_calls=8,
    rounds=30,
    small_calls=500,
    warm_up=1.0,
    image=224,
    batch=64,
    tokens=(32, 512),
    width=768,
    depth=12,
    forwards=0.05,
    audit_rounds=15,
    peer_rounds=3,
    backend="inductor",
)

DRY = Sizes(
    shapes={
        "rows": (4, 8, 8, 8),
        "columns": (32, 16),
        "channels_last": (4, 8, 8, 8),
        "tokens": (2, 8, 16),
        "odd rows": (3, 4, 7, 7),
        "odd columns": (17, 9),
        "few units": (64, 4),
        "many units": (2, 256),
        "large rows": (8, 8, 8, 8),
        "large columns": (64, 16),
    },
    rotation=1 << 14,
    fewest_calls=2,
    rounds=2,
    small_calls=3,
    warm_up=0.0,
    image=32,
    batch=2,
    tokens=(2, 8),
    width=48,
    depth=2,
    forwards=0.0,
    audit_rounds=2,
    peer_rounds=1,
    backend="eager",
)


def sizes_for(device: str) -> Sizes:
    return GPU if device == "cuda" else DRY
