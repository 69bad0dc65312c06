"""torchvision, also where its compiled operators do not fit the torch that is installed.

Python part and operators of torchvision come in one package, made for one build of torch. With another build
the operators do not load, and the import fails where the Python part describes them; or they load, and it
fails because they are for another CUDA. Models, transforms and data sets need none of them.
"""

from __future__ import annotations

import re
import sys
import warnings
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from unittest import mock

# The operators that torchvision describes at import time whether they were loaded or not.
_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


@cache
def import_torchvision() -> ModuleType:
    """The package ``torchvision``, with `models`, `transforms` and `ops` imported.

    Where its operators do not fit, a warning says so once. Functions of `torchvision.ops` that need one (nms,
    roi_align) raise when they are called.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
    """
    reasons: list[str] = []
    with ExitStack() as during_import:
        while True:
            try:
                module = import_module("torchvision")
                break
            except ModuleNotFoundError as error:
                if error.name != "torchvision":
                    raise
                raise ModuleNotFoundError(
                    "the zoo's backbones come with torchvision, which is not installed; "
                    "pip install 'neurocensus[vision]'",
                    name="torchvision",
                ) from error
            except RuntimeError as error:
                if str(error) in reasons or not _worked_around(str(error), during_import):
                    raise
                reasons.append(str(error))
                for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
                    del sys.modules[name]  # half imported
    if reasons:
        import torch

        warnings.warn(
            f"the compiled operators of torchvision {version('torchvision')} (nms, roi_align, ...) do not "
            f"fit torch {torch.__version__}: {reasons[0].partition('. ')[0]}. Models and transforms work. To "
            "have the operators, install both from one place: https://pytorch.org/get-started/locally",
            RuntimeWarning,
            stacklevel=2,
        )
    return module


def _worked_around(error: str, during_import: ExitStack) -> bool:
    """Whether the next import gets past this error of torchvision's."""
    import torch

    operator = re.search(r"operator torchvision::(\w+) does not exist", error)
    if operator is not None and operator[1] in _SCHEMAS:
        torch.library.define(f"torchvision::{operator[1]}", _SCHEMAS[operator[1]])
        return True
    if "different CUDA" in error:  # it compares with torch.version.cuda, unless that is None
        during_import.enter_context(mock.patch.object(torch.version, "cuda", None))
        return True
    return False
