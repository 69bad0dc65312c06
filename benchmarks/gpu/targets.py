"""What is promised of the GPU."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness.targets import Target

_COPY = "share of the bandwidth of a device-to-device copy"
LAYOUTS = ("rows", "columns", "channels_last")
NETWORKS = ("vgg16", "resnet50", "transformer")
WAYS = ("eager", "compiled")

GATES: Mapping[str, Target] = {
    **{layout: Target(f"{layout}: {_COPY}", at_least=0.85) for layout in LAYOUTS},
    **{
        f"{layout} with histogram": Target(f"{layout}, with the histogram: {_COPY}", at_least=0.5)
        for layout in LAYOUTS
    },
    "small call": Target("64x512 values: microseconds a call from Python", at_most=12),
    "small call in a graph": Target("64x512 values: time in a CUDA graph, in calls from Python", at_most=1),
    **{
        f"{network}, {way}": Target(f"audit of {network}, {way}: times the plain forward", at_most=1.15)
        for network in NETWORKS
        for way in WAYS
    },
}
