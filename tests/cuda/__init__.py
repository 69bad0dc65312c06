"""Tests of the CUDA module and of what runs on a CUDA device."""
