"""The compiled core: one state, one buffer."""
