"""ONNX Runtime's calibrators, which find ranges for quantized models; an exported model runs in them."""

from __future__ import annotations

import ast
import contextlib
import io
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from benchmarks.peers.counter import Statistics


class Calibrator(ABC):
    """A calibrator over an exported model in its own runtime, with optimizations off.

    By itself it looks at inputs and outputs of every operator; here it is told which layers a census counts.

    Args:
        model: in eval mode.
        layers: names of modules, and the axis of their outputs that holds the units.
        example: a batch; all batches have its shape.
    """

    computes = ""

    def __init__(self, model: nn.Module, layers: Mapping[str, int], example: Tensor) -> None:
        self._layers = layers
        with tempfile.TemporaryDirectory() as folder:  # the session has all of it in memory
            path = Path(folder, "model.onnx")
            self._tensors = export(model, example, path)
            self._calibrator = self._made(str(path), str(path.with_name("augmented.onnx")))
            select = self._calibrator.select_tensors_to_calibrate
            chosen = {self._tensors[name] for name in layers}
            self._calibrator.select_tensors_to_calibrate = lambda graph: (chosen, select(graph)[1])
            self._calibrator.augment_graph()
            self._calibrator.infer_session = _session(self._calibrator.augmented_model_path)
            self._alone = _session(path)
        self._input = self._alone.get_inputs()[0].name

    def forward(self, batches: Iterable[Tensor]) -> None:
        """Its plain forward: the same runtime and settings, without the calibrator."""
        for batch in batches:
            self._alone.run(None, {self._input: batch.numpy()})

    @abstractmethod
    def _made(self, model: str, augmented: str) -> Any:
        """ONNX Runtime's calibrator of the exported file `model`; its own graph goes to `augmented`."""


class MinMax(Calibrator):
    """``MinMaxCalibrater``, per channel: it adds ReduceMin and ReduceMax over all axes but 1 to the graph.

    Where units are on a later axis, it gives extrema of the layer instead.
    """

    computes = "max and min of each unit where units are on axis 1, else of the layer; its own forward"

    def _made(self, model: str, augmented: str) -> Any:
        from onnxruntime.quantization import calibrate  # type: ignore[import-untyped]

        self._per_unit = set(self._layers.values()) == {1}
        return calibrate.MinMaxCalibrater(model, augmented_model_path=augmented, per_channel=self._per_unit)

    def __call__(self, batches: Iterable[Tensor]) -> dict[str, Statistics]:
        self._calibrator.calibrate_tensors_range = None  # of the last pass
        self._calibrator.collect_data(Reader(self._input, batches))
        ranges = self._calibrator.compute_data()
        found: dict[str, Statistics] = {}
        for name in self._layers:
            low, high = ranges[self._tensors[name]].range_value
            found[name] = (
                {"max": high, "min": low, "dead": (high == 0) & (low == 0)}
                if self._per_unit
                else {"largest of the layer": high, "smallest of the layer": low}
            )
        return found


class Histogram(Calibrator):
    """``PercentileCalibrater``: activations become outputs, and ``np.histogram`` counts them on one thread.

    It is given batch by batch: of one reader it would keep the activations of all batches.
    """

    computes = "one histogram of all values of a layer, 2048 bins or more; nothing of a unit; its own forward"

    def _made(self, model: str, augmented: str) -> Any:
        from onnxruntime.quantization import calibrate

        return calibrate.PercentileCalibrater(model, augmented_model_path=augmented, num_bins=2048)

    def __call__(self, batches: Iterable[Tensor]) -> dict[str, Statistics]:
        self._calibrator.collector = None  # of the last pass
        with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
            for batch in batches:
                self._calibrator.collect_data(Reader(self._input, [batch]))
            self._calibrator.compute_data()
        histograms = self._calibrator.collector.get_histogram_dict()
        found: dict[str, Statistics] = {}
        for name in self._layers:
            counts, _, low, high, _ = histograms[self._tensors[name]]
            found[name] = {
                "largest of the layer": high,
                "smallest of the layer": low,
                "values of the layer": np.sum(counts),
            }
        return found


def _session(path: str | Path) -> Any:
    """As a calibrator makes it, but for the threads: as many as torch has, not one for each core."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])


class Reader:
    """A ``CalibrationDataReader`` (by its methods: importing that class is not needed)."""

    def __init__(self, name: str, batches: Iterable[Tensor]) -> None:
        self._name, self._batches = name, iter(batches)

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch.numpy()}


def export(model: nn.Module, example: Tensor, path: Path) -> dict[str, str]:
    """Write an ONNX model; returns the names of modules, and of the tensors that they give.

    The exporter notes with each node in which modules it is; the last node of a module gives its output.
    """
    import onnx

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter's own use of deprecated names
        torch.onnx.export(model, (example,), path, dynamo=True)
    graph = onnx.load(path, load_external_data=False).graph
    return {module: node.output[0] for node in graph.node for module in _modules(node)}


def _modules(node: Any) -> Iterator[str]:
    """Modules that a node is in; the last entry is the operator."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            yield from ast.literal_eval(entry.value)[:-1]
