"""Builds, tests and measures on a machine with a GPU, without any network; see ../README.md."""
