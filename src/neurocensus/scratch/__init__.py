"""A network from scratch: dense layers in NumPy, written out to be read, and its census without a framework.

`Network` holds weights and runs forward; `fit` goes backward and descends. `adapt` puts a new network behind
a trained one. `audit` counts its activations as `neurocensus.audit` counts those of a torch model.
Importing this package needs no torch.
"""

from __future__ import annotations

from .adaptation import adapt
from .census import audit
from .descent import Descent, fit
from .inputs import flatten
from .network import Network

__all__ = ["Descent", "Network", "adapt", "audit", "fit", "flatten"]
