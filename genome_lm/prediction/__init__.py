"""Predictions of a checkpoint for sequences of the user's own."""
