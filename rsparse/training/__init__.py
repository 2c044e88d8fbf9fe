"""Retrain a classifier: samples, objective, training loop and checkpoints."""
