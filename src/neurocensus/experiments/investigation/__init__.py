"""The thesis's investigation phase: networks from scratch, sweeps, transfer, and what single units do.

Source: J. Smith, *Qualitative Assessment Metrics for Transfer Learning*, sections 3.1 and 4.1 and appendix 2.
"""

from __future__ import annotations

from . import report as report
from .running import Investigation, run
from .setup import PARTS, TITLE, Setup

__all__ = ["PARTS", "TITLE", "Investigation", "Setup", "report", "run"]
