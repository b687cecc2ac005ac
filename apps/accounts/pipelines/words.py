"""Rules of pipelines in words: for their pages, and for the diff of a change. Pure."""

from apps.accounts.pipelines.models import PipelineRule
from apps.accounts.pipelines.rules import TrustRule
from apps.common import diffs
from apps.common.badges import Badge

IN_FORCE = Badge("ok", "circle-check", "Let in")
ENDED = Badge("idle", "circle", "Shut out")


def rule_badge(rule: PipelineRule) -> Badge:
    """Return whether the newest rule of a pipeline lets it in."""
    return IN_FORCE if rule.ended_at is None else ENDED


def words_of(rule: TrustRule) -> list[tuple[str, str]]:
    """Return each condition with its name, and each subject and each person on a line."""
    return [
        ("May", ", ".join(rule.may)),
        ("Models", ", ".join(rule.models)),
        ("Repository", rule.repository),
        ("Repository's number", rule.repository_id),
        ("Owner's number", rule.owner_id),
        ("Ref", rule.ref),
        ("Environment", rule.environment or "none named"),
        ("Workflow", rule.workflow or "any of the repository"),
        ("Started by", ", ".join(rule.events)),
        *[(_numbered("Subject", at, rule.subjects), one) for at, one in enumerate(rule.subjects)],
        *[
            (
                _numbered("Who pushes", at, rule.pushers),
                f"{one.login} (number {one.github_id}) is {one.username} here",
            )
            for at, one in enumerate(rule.pushers)
        ],
        ("Issuer", rule.issuer),
        ("Audience", rule.audience),
    ]


def _numbered(label: str, at: int, all_of_it: tuple[object, ...]) -> str:
    return f"{label} {at + 1}" if len(all_of_it) > 1 else label


def difference(before: TrustRule | None, after: TrustRule) -> list[diffs.File]:
    """Return what changes from one rule to another, or from none, line by line."""
    return diffs.between("rule", _text(before) if before else "", _text(after))


def _text(rule: TrustRule) -> str:
    return "\n".join(f"{label}: {words}" for label, words in words_of(rule))
