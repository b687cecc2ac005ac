"""What a rule of a route changes in a call's body for one backend (`bodyMutation`), as Envoy AI
Gateway does: last of all, removals first, top-level fields alone. Pure.

The real one writes a value as JSON where it looks like JSON, else as a string, and takes some
characters of a name for a path into the body. Here a name with such a character is refused, and so
is a value that looks like JSON and is none, of which the real one makes a body that no engine can
read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.local.gateway.objects import Object
from deploy.local.gateway.refusal import Refused

MOST = 16  # fields, of either kind
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_NUMBER = re.compile(r"[0-9+-][0-9.+\-eE]*")
_WORDS = ("true", "false", "null")
_AROUND = ('""', "{}", "[]")


@dataclass(frozen=True)
class Mutation:
    """Which fields are removed, and which are set, each to a JSON text."""

    removed: tuple[str, ...] = ()
    written: tuple[tuple[str, str], ...] = ()

    def applied(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body as the backend gets it."""
        kept = {name: value for name, value in body.items() if name not in self.removed}
        return kept | {name: json.loads(text) for name, text in self.written}


def mutation_from_json(data: Mapping[str, Any]) -> Mutation:
    """Return the mutation that was written down as plain values."""
    return Mutation(tuple(data["removed"]), tuple((name, text) for name, text in data["written"]))


def read(reference: Object) -> Mutation:
    """Return what a backendRef changes. Raises Refused for what would be played otherwise."""
    name, spec = reference["name"], reference.get("bodyMutation") or {}
    removed, written = spec.get("remove") or [], spec.get("set") or []
    if unknown := sorted(set(spec) - {"remove", "set"}):
        raise Refused(f"backendRef {name}: bodyMutation has no {unknown[0]}")
    if max(len(removed), len(written)) > MOST:
        raise Refused(f"backendRef {name}: bodyMutation takes at most {MOST} fields of a kind")
    fields = [*removed, *(entry["path"] for entry in written)]
    if odd := [field for field in fields if not _FIELD.fullmatch(field)]:
        raise Refused(
            f"backendRef {name}: bodyMutation of {odd[0]!r} is not played by the local gateway, "
            "which knows top-level fields alone"
        )
    texts = tuple((entry["path"], _text(name, entry)) for entry in written)
    return Mutation(tuple(removed), texts)


def _text(name: str, entry: Object) -> str:
    """Return a value as JSON."""
    value = str(entry.get("value", ""))
    if not _looks_like_json(value.strip()):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        raise Refused(
            f"backendRef {name}: bodyMutation sets {entry['path']} to what is no JSON"
        ) from None
    return value


def _looks_like_json(value: str) -> bool:
    if value in _WORDS or _NUMBER.fullmatch(value):
        return True
    return any(value.startswith(pair[0]) and value.endswith(pair[1]) for pair in _AROUND)
