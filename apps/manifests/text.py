"""Manifests as text: the same objects always give the same bytes, so that a commit changes only
what changed.
"""

from collections.abc import Iterable
from typing import Any

import yaml

Manifest = dict[str, Any]


class CannotRender(ValueError):
    """What is asked for makes no manifest that would work. The text says why, for people; nothing
    is committed.
    """


class _Dumper(yaml.SafeDumper):
    """Writes every value out: a reader of a diff should not have to follow anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never write an anchor."""
        return True


def to_yaml(objects: Iterable[Manifest]) -> bytes:
    """Return `objects` as one YAML file of several documents, keys in the order they were
    written.
    """
    text: str = yaml.dump_all(
        objects,
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        width=120,
        allow_unicode=True,
        explicit_start=True,
    )
    return text.encode()
