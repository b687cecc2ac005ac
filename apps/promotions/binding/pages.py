"""What a page says of the binding. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.promotions.gates import short
from apps.promotions.models import Rollout, RolloutCommit, weight_of

REMOVED = "removed"


@dataclass(frozen=True)
class Bound:
    """facts: [(label, value)] for a list of facts; steps: [(what the step does, [(path, digest)])],
    in the order in which a rollout takes them.
    """

    facts: list[tuple[str, object]]
    steps: list[tuple[str, list[tuple[str, str]]]]


def shown(document: Mapping[str, Any], digest: str) -> Bound | None:
    """Return what an approval is over, for people; None for a promotion that bound nothing."""
    if not digest:
        return None
    rule, baseline = document["rule"], document["baseline"]
    facts: list[tuple[str, object]] = [
        ("Binding", {"text": digest, "mono": True, "copy": True}),
        ("In the registry", {"text": document["version"]["registry"], "mono": True}),
        ("Manifest", _short(document["version"]["manifest"])),
        ("Signature", _short(document["version"]["signature"])),
        ("Evaluation report", _short(document["evaluation"]["report"])),
        ("Suite and thresholds", f"{_short(rule['suite'])}, {_short(rule['thresholds'])}"),
        ("Baseline", _baseline(baseline)),
        ("Engine image", {"text": document["image"], "mono": True}),
    ]
    steps = [
        (_words(step), [(path, _short(each)) for path, each in sorted(files.items())])
        for step, files in sorted(document["steps"].items(), key=_place)
    ]
    return Bound(facts, steps)


def _short(digest: str | None) -> str:
    return short(digest) if digest else REMOVED


def _baseline(baseline: Mapping[str, str]) -> str:
    if not baseline["version"]:
        return "nothing serves yet"
    return f"{baseline['version']}, {_short(baseline['manifest'])}"


def _words(step: str) -> str:
    return RolloutCommit(step=step).words


def _place(item: tuple[str, object]) -> tuple[int, int]:
    """Return the place of a step: starting, then each weight, then what follows or goes back."""
    step, order = item[0], list(Rollout.Step.values)
    kind = step.partition("_")[0]
    return order.index(kind), weight_of(step) or 0
