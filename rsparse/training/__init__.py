"""Retraining a classifier: what is shown, what is learned, the loop and its checkpoints."""
