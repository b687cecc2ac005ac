"""What is no longer as it was bound: the one comparison. The conditions on the reviewer's page come
from it, and so does the voiding of approvals. Pure.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from apps.manifests.serving_settings import LABELS

GONE = "nothing"
# digests and ids, of which people quote the first figures
LONG = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}|\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f-]{22}\b")
# The groups in which people check them, each a condition; and the parts of the document in each.
POLICY, FILES, RUN, RULE, BASELINE, IMAGE, SETTINGS, COMMITS = (
    "Same policy",
    "Same files",
    "Same run",
    "Same thresholds",
    "Same baseline",
    "Same image",
    "Same settings",
    "Same commits",
)
GROUPS = {
    "version": FILES,
    "evaluation": RUN,
    "more": RUN,
    "rule": RULE,
    "baseline": BASELINE,
    "image": IMAGE,
    "settings": SETTINGS,
    "steps": COMMITS,
    "format": COMMITS,
}
SERVES = "Version that serves"
NAMES = {
    "version.registry": "Place in the registry",
    "version.manifest": "Manifest",
    "version.signature": "Signature",
    "evaluation.run": "Evaluation run",
    "evaluation.report": "Evaluation report",
    "rule.suite": "Evaluation suite",
    "rule.thresholds": "Thresholds",
    "rule.policy": "Promotion policy",
    "baseline.version": SERVES,
    "baseline.manifest": "Manifest of the version that serves",
    "image": "Engine image",
}


@dataclass(frozen=True)
class Difference:
    """One thing that changed. group: the condition it breaks; what: for people; was, found: in
    full.
    """

    group: str
    what: str
    was: str
    found: str

    @property
    def words(self) -> str:
        """Return it as one sentence, with digests and ids as people quote them."""
        return LONG.sub(_quoted, f"{self.what}: was {self.was}, is {self.found}.")

    def as_json(self) -> dict[str, str]:
        """Return it as the record keeps it."""
        return asdict(self)


def differences(bound: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Return what differs between the document that was bound and the one made of what is true now,
    in the order in which people check it.
    """
    was, found = dict(_leaves(bound)), dict(_leaves(now))
    return [
        _difference(path, was.get(path), found.get(path))
        for path in sorted(was.keys() | found.keys(), key=_place)
        if was.get(path, GONE) != found.get(path, GONE)
    ]


def in_words(found: Sequence[Difference]) -> str:
    """Return why approvals do not count any more. Files that are written otherwise are named only
    where nothing else says why.
    """
    causes = [each for each in found if each.group != COMMITS] or list(found)
    return " ".join(each.words for each in causes)


def _leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    else:
        yield path, value


def _place(path: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    parts = list(GROUPS)
    return (parts.index(path[0]) if path[0] in parts else len(parts), path)


def _difference(path: tuple[str, ...], was: object, found: object) -> Difference:
    group = POLICY if path == ("rule", "policy") else GROUPS.get(path[0], COMMITS)
    return Difference(group, _name(path), _shown(was), _shown(found))


def _name(path: tuple[str, ...]) -> str:
    if path[0] == "steps" and len(path) == 3:
        return f"{path[2]} in step {path[1]}"
    if path[:2] == ("settings", "serving") and len(path) > 2:
        return " ".join((LABELS.get(path[2], path[2]), *path[3:]))
    if path[0] == "settings":
        return f"Setting {' '.join(path[1:]).replace('_', ' ')}"
    return NAMES.get(".".join(path), " ".join(path))


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value) or GONE
    return GONE if value in (None, "") or value == {} else str(value)


def _quoted(found: re.Match[str]) -> str:
    return found[1] or found[2]
