"""Audits that a kill does not set back: what is on disk, whether it is of this audit, how to go on from it.

Guide: docs/resume.md.
"""

from __future__ import annotations
