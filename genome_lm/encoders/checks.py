"""Checks that the encoders' constructors share."""

from collections.abc import Mapping, Sequence

from genome_lm.errors import UserError


def check_sizes(sizes: Mapping[str, int | Sequence[int]]) -> None:
    """Refuse sizes below 1, by the name of the argument; a list is refused when it is empty, too.

    Raises:
        UserError: a size is less than 1.
    """
    for name, value in sizes.items():
        values = [value] if isinstance(value, int) else list(value)
        if not values or any(type(size) is not int or size < 1 for size in values):
            given = value if isinstance(value, int) else values
            raise UserError(f"model.encoder.{name} is {given}; expected whole numbers of at least 1")


def check_dropouts(dropouts: Mapping[str, float]) -> None:
    """Refuse probabilities outside [0, 1), by the name of the argument.

    Raises:
        UserError: a probability is out of range.
    """
    for name, value in dropouts.items():
        if not 0 <= value < 1:
            raise UserError(f"model.encoder.{name} is {value}; expected 0 <= {name} < 1")
