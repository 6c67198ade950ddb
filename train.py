"""Train a model: `python train.py model=bigru`; `python train.py --help` shows what can be set."""

from genome_lm.cli import train

if __name__ == "__main__":
    train()
