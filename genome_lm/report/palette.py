"""Colours and shapes of the figures: Okabe and Ito's hues, made to stand out on a light and a dark page.

The page's figures name a colour by its CSS variable, so that they follow the reader's theme and turn light in
print; for the static files the same variables are replaced by the light values.
"""

import re
from collections.abc import Sequence

# Name: light, dark. Every series has a contrast of at least 3:1 to the background (WCAG 2.2, 1.4.11).
COLOURS = {
    "paper": ("#ffffff", "#14181d"),
    "ink": ("#1a1d21", "#e8eaed"),
    "muted": ("#565d66", "#a9b1bb"),
    "grid": ("#e4e7eb", "#2c333b"),
    "axis": ("#8a929c", "#6d7782"),
    "blue": ("#0072b2", "#5ab4e8"),
    "vermillion": ("#c04f00", "#f0874a"),
    "green": ("#00805d", "#2fc79c"),
    "purple": ("#a3487f", "#e39cc6"),
    "ochre": ("#946400", "#e6a817"),
    "sky": ("#2b7fae", "#a5d8f5"),
    "grey": ("#5f6670", "#aeb6bf"),
}

GROUP_COLOURS = ("blue", "vermillion", "green", "purple", "ochre", "sky", "grey")
GROUP_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke")
OTHERS = "all other groups"


def css(name: str) -> str:
    """A colour for the page: the CSS variable of that name."""
    return f"var(--{name})"


def static(spec: object) -> object:
    """A Vega-Lite specification with the variables replaced by the light colours."""
    if isinstance(spec, dict):
        return {key: static(value) for key, value in spec.items()}
    if isinstance(spec, list):
        return [static(value) for value in spec]
    if isinstance(spec, str):
        return re.sub(r"^var\(--([a-z]+)\)$", lambda found: COLOURS[found[1]][0], spec)
    return spec


def style_rules() -> dict[str, str]:
    """The variables as CSS declarations, by theme."""
    return {
        theme: " ".join(f"--{name}: {pair[place]};" for name, pair in COLOURS.items())
        for place, theme in enumerate(("light", "dark"))
    }


def shown_groups(names: Sequence[str]) -> list[str]:
    """Groups with a colour and a shape of their own, most tasks first; the rest share the last one as OTHERS.

    Args:
        names: the group of every task.
    """
    ranked = sorted(set(names), key=lambda name: (-names.count(name), name))
    if len(ranked) <= len(GROUP_COLOURS):
        return ranked
    return [*ranked[: len(GROUP_COLOURS) - 1], OTHERS]
