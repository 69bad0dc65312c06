"""Early warning: a layer dies, or gives NaN."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

from .. import text

if TYPE_CHECKING:
    from .journal import Row

Kind = Literal["dead", "nonfinite"]

SHOWN: Final = 5
"""So many layers are named in one warning; the row has them all."""


class ActivationWarning(UserWarning):
    """A layer's dead share crossed `warn_over`, or it gave values that are NaN or infinite."""


class Alarms:
    """What to warn of, once until it is over: each layer, mode and kind by itself.

    Args:
        warn_over: dead units / units of a layer, above which there is an alarm; 1 for none.
        past: rows of the training that goes on: what was warned of there and is not over is not news.
    """

    def __init__(self, warn_over: float, past: Iterable[Row] = ()) -> None:
        self._over = warn_over
        self._ringing: set[tuple[str, Kind, str]] = set()
        for row in past:
            self.check(row)

    def check(self, row: Row) -> list[dict[str, str]]:
        """What is new in a row: the kind of each alarm, the layer, and a sentence that says it."""
        self._ringing = set(self._ringing)  # not that of a copy made before
        found = []
        for name, layer in row["layers"].items():
            if layer["units"] == layer["unseen"]:
                continue  # nothing is known of it
            broken = layer["nan"] + layer["inf"]
            share = layer["nnu"]
            if self._new(row["mode"], "dead", name, share > self._over):
                told = (
                    f"{text.percent(share)} of {text.plural(layer['units'], 'unit')} dead on "
                    f"{text.plural(layer['examples'], 'example')}"
                )
                found.append({"kind": "dead", "layer": name, "message": told})
            if self._new(row["mode"], "nonfinite", name, broken > 0):
                nan, inf = text.plural(layer["nan"], "NaN value"), text.plural(layer["inf"], "infinite value")
                told = f"{nan} and {inf}"
                found.append({"kind": "nonfinite", "layer": name, "message": told})
        return found

    def _new(self, mode: str, kind: Kind, layer: str, on: bool) -> bool:
        key = (mode, kind, layer)
        new = on and key not in self._ringing
        (self._ringing.add if on else self._ringing.discard)(key)
        return new

    def sentences(self, row: Row) -> list[str]:
        """The row's warnings for people, one sentence for each kind."""
        first, step = text.count(row["first_step"]), text.count(row["step"])
        when = f"{row['mode']} mode, {f'step {step}' if first == step else f'steps {first} to {step}'}"
        heads = {
            "dead": f"layers with more than {text.percent(self._over)} of their units dead",
            "nonfinite": "layers with values that are not finite",
        }
        out = []
        for kind, head in heads.items():
            told = [alarm for alarm in row["warnings"] if alarm["kind"] == kind]
            listed = "; ".join(f"'{text.printable(a['layer'])}': {a['message']}" for a in told[:SHOWN])
            rest = f"; and {text.count(len(told) - SHOWN)} more" if len(told) > SHOWN else ""
            if told:
                out.append(f"{head} ({when}): {listed}{rest}")
        return out
