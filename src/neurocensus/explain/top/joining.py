"""`joined`: the strongest examples of a whole data set from those of its parts. Exact, in any order."""

from __future__ import annotations

from .host import HostBest
from .result import LayerTop, TopExamples


def joined(first: TopExamples, *others: TopExamples) -> TopExamples:
    """The k strongest examples of each unit, of all parts.

    Args:
        first, others: of one model, with one k; examples numbered as in the whole. Layers are matched by
            name; those that only one part has are kept.
    """
    parts = (first, *others)
    layers = {}
    for name in dict.fromkeys(name for part in parts for name in part.layers):
        found = [part.layers[name] for part in parts if name in part.layers]
        best = HostBest(found[0].units, found[0].k)
        for layer in found:
            best.join(layer.values, layer.examples)
        layers[name] = LayerTop(name, found[0].kind, *best.read())
    return TopExamples(layers, model=first.model, examples=sum(part.examples for part in parts))
