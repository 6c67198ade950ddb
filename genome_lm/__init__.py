"""Recurrent networks for multitask chromatin prediction from DNA sequence."""

__version__ = "0.1.0"
