"""Hyper-parameter search with Optuna: a study of training runs, judged by validation alone."""
