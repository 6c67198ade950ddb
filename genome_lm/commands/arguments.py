"""Command lines without Hydra: a mistake is one line, as everywhere."""

import argparse
from typing import NoReturn

from genome_lm.errors import UserError


class Parser(argparse.ArgumentParser):
    """Leaves one line about a mistake to the caller instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")
