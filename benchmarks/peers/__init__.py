"""Other ways to such numbers: what a user would pick today."""
