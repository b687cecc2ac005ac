"""The tuple that an approval is over, as one JSON document with a digest. Pure.

A proposal keeps the document as it was then. The same document made of what is true now has another
digest as soon as anything of it changed (differences.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.common.canonical import digest_of
from apps.promotions.models import weight_of

FORMAT = "quartermaster.dev/binding/v1"


@dataclass(frozen=True)
class Binding:
    """Everything that must stay as it is for an approval to count.

    registry: `s3://<bucket>/<model>/v<n>/`. Digests are "sha256:<hex>", or "" for what is not
    there. run: the evaluation run's id. policy: the number of the promotion policy's revision with
    the digest of its rules. baseline: the name of the version that serves, "" for none. settings:
    what shapes the files, by name. more: of each other suite that judges the model, by slug, the
    run and the digests of its report and of the suite. steps: step → path → digest of what it
    writes, None where it removes the file.
    """

    model: str
    number: int
    registry: str
    manifest: str
    signature: str
    run: str
    report: str
    suite: str
    thresholds: str
    policy: str
    baseline: str
    baseline_manifest: str
    image: str
    more: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the document that is kept and digested."""
        # where one suite judges the model, the document is as it always was
        more = {"more": {slug: dict(facts) for slug, facts in self.more.items()}}
        return (more if self.more else {}) | {
            "format": FORMAT,
            "version": {
                "model": self.model,
                "number": self.number,
                "registry": self.registry,
                "manifest": self.manifest,
                "signature": self.signature,
            },
            "evaluation": {"run": self.run, "report": self.report},
            "rule": {"suite": self.suite, "thresholds": self.thresholds, "policy": self.policy},
            "baseline": {"version": self.baseline, "manifest": self.baseline_manifest},
            "image": self.image,
            "settings": dict(self.settings),
            "steps": {step: dict(files) for step, files in self.steps.items()},
        }

    @property
    def digest(self) -> str:
        """Return "sha256:<hex>" of the document."""
        return digest_of(self.as_json())


def image_of(document: Mapping[str, Any]) -> str:
    """Return the engine's image that a bound document names; "" for a promotion from before there
    were any.
    """
    return str(document.get("image", ""))


def runs_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return slug → the run that a bound document names beside the promotion's own one: of the
    other suites that judge the model.
    """
    return {slug: str(facts["run"]) for slug, facts in document.get("more", {}).items()}


def files_of(document: Mapping[str, Any], step: str) -> dict[str, str | None] | None:
    """Return path → digest of what a step writes, as it was bound; None where nothing was bound of
    the step.
    """
    found = document.get("steps", {}).get(str(step))
    return None if found is None else dict(found)


def percents_of(document: Mapping[str, Any]) -> list[int]:
    """Return the weights that a bound document moves the callers by, ascending to 100; empty where
    nothing was bound.
    """
    found = (weight_of(step) for step in document.get("steps", {}))
    return sorted(percent for percent in found if percent is not None)
