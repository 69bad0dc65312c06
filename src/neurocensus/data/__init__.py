"""Data: what a user names on the command line, and labelled images to train on.

`open_data` turns a folder of images, arrays in a file or a factory into batches for an audit.
`open_images`, `split`, `load`, `batches` and `augmentation` are the steps from image files to training.
`open_pair` and `one_against_rest` give a training and a test set of two classes in one step.
Importing this package needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import attach

if TYPE_CHECKING:
    from .cache import load
    from .examples import Batches, Examples, batches
    from .labelled import Images, open_images
    from .pairs import Pair, open_pair
    from .pairs_from_images import one_against_rest
    from .source import Data, open_data
    from .splitting import Split, split
    from .transforms import augmentation

_HOME = {
    "Batches": "examples",
    "Data": "source",
    "Examples": "examples",
    "Images": "labelled",
    "Pair": "pairs",
    "Split": "splitting",
    "augmentation": "transforms",
    "batches": "examples",
    "load": "cache",
    "one_against_rest": "pairs_from_images",
    "open_data": "source",
    "open_images": "labelled",
    "open_pair": "pairs",
    "split": "splitting",
}

__all__ = [
    "Batches",
    "Data",
    "Examples",
    "Images",
    "Pair",
    "Split",
    "augmentation",
    "batches",
    "load",
    "one_against_rest",
    "open_data",
    "open_images",
    "open_pair",
    "split",
]

__getattr__, __dir__ = attach(__name__, _HOME)
