"""Evaluate a checkpoint: `python evaluate.py ckpt_path=...`; --help shows what can be set."""

from genome_lm.cli import evaluate

if __name__ == "__main__":
    evaluate()
