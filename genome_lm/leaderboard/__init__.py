"""Runs ranked by validation; reads the files of runs and nothing of torch."""
