"""What single units do: the inputs that activate each one most, and how its answers change in training.

Importing this imports neither torch nor matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import attach

if TYPE_CHECKING:
    from .lives import Life, Lives, lives_of, lives_sheet, plot_lives
    from .responses import Responses, plot_responses
    from .responses_recorder import RecordEvery, ResponseRecorder
    from .top_folder import save_top
    from .top_recorder import TopRecorder
    from .top_result import LayerTop, TopExamples
    from .top_search import top_examples
    from .top_sheet import plot_contact_sheet
    from .top_state import TopState

_HOME = {
    "LayerTop": "top_result",
    "Life": "lives",
    "Lives": "lives",
    "RecordEvery": "responses_recorder",
    "ResponseRecorder": "responses_recorder",
    "Responses": "responses",
    "TopExamples": "top_result",
    "TopRecorder": "top_recorder",
    "TopState": "top_state",
    "lives_of": "lives",
    "lives_sheet": "lives",
    "plot_contact_sheet": "top_sheet",
    "plot_lives": "lives",
    "plot_responses": "responses",
    "save_top": "top_folder",
    "top_examples": "top_search",
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
