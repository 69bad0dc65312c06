"""What single units do: the inputs that activate each one most, and how its answers change in training.

Importing this imports neither torch nor matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import attach

if TYPE_CHECKING:
    from .lives import Life, Lives, lives_of, lives_sheet, plot_lives
    from .responses.recorder import RecordEvery, ResponseRecorder
    from .responses.result import Responses, plot_responses
    from .top.contact import plot_contact_sheet
    from .top.folder import save_top
    from .top.recorder import TopRecorder
    from .top.result import LayerTop, TopExamples
    from .top.search import top_examples
    from .top.state import TopState

_HOME = {
    "LayerTop": "top.result",
    "Life": "lives",
    "Lives": "lives",
    "RecordEvery": "responses.recorder",
    "ResponseRecorder": "responses.recorder",
    "Responses": "responses.result",
    "TopExamples": "top.result",
    "TopRecorder": "top.recorder",
    "TopState": "top.state",
    "lives_of": "lives",
    "lives_sheet": "lives",
    "plot_contact_sheet": "top.contact",
    "plot_lives": "lives",
    "plot_responses": "responses.result",
    "save_top": "top.folder",
    "top_examples": "top.search",
}

__all__ = [
    "LayerTop",
    "Life",
    "Lives",
    "RecordEvery",
    "ResponseRecorder",
    "Responses",
    "TopExamples",
    "TopRecorder",
    "TopState",
    "lives_of",
    "lives_sheet",
    "plot_contact_sheet",
    "plot_lives",
    "plot_responses",
    "save_top",
    "top_examples",
]


__getattr__, __dir__ = attach(__name__, _HOME)
