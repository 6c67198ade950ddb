"""YAML of values alone, as OmegaConf writes configurations: no aliases, no tags, within bounds."""

from datetime import date
from typing import Any

import yaml

from genome_lm.plain import NotPlain, check_plain

MOST_TEXT = 1 << 20
"""Characters; a configuration that lists 919 tasks has 30,000."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, of plain values only."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node, unless it is an alias: ten levels of ten aliases stand for 10^10 values."""
        if self.check_event(yaml.AliasEvent):
            raise NotPlain("an alias")
        event = self.peek_event()
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise NotPlain("a tag")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int | str:
    """As YAML 1.2 has it: 1:30 is text and not 90, which takes quadratic time in the number of digits."""
    written = loader.construct_scalar(node)
    text = written.replace("_", "")
    if ":" in text:
        return written
    return int(text, 10 if text.lstrip("+-").isdigit() else 0)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def plain_yaml(text: str) -> object:
    """The value that a YAML text holds.

    Raises:
        NotPlain: it is no YAML, too long, has an alias or a tag, or `check_plain` refuses it.
    """
    if len(text) > MOST_TEXT:
        raise NotPlain(f"{len(text):,} characters of YAML")
    try:
        value: object = yaml.load(text, _Loader)
    except RecursionError as error:
        raise NotPlain("no YAML: nested too deeply") from error
    except NotPlain:
        raise
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise NotPlain(f"no YAML: {error}") from error
    check_plain(value, leaves=(date,))
    return value
