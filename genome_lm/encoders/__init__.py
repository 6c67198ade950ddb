"""Sequence encoders: one file a family."""
