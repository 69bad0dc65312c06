"""Find the audit points of a model, and count what they give."""
