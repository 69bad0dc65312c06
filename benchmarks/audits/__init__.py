"""Whole audits: of networks, beside peers, as they grow, in memory, in training."""
