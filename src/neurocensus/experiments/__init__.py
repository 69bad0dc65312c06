"""Trainings whose networks are worth a census."""
