"""What units answer to a few chosen inputs while a model is trained."""
