"""Sweeps of the investigation."""
