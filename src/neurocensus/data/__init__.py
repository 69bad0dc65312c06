"""Data that a user names on the command line: a folder of images, arrays in a file, a factory.

`open_data` turns any of them into an iterable of batches. Importing this package needs no torch.
"""

from .source import Data, open_data

__all__ = ["Data", "open_data"]
