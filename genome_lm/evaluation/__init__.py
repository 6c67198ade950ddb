"""Predictions, thresholds, per-task tables and reports."""
