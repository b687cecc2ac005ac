"""Rules in words: for the page of the policy, for the diff of a change, for a promotion's page.
Pure.
"""

from apps.common import diffs
from apps.common.badges import Badge
from apps.common.counts import counted
from apps.promotions.policy.models import PolicyChange
from apps.promotions.policy.reviewers import role_words
from apps.promotions.policy.rules import CHANGE_WORDS, EXCLUDED_WORDS, ChangeRule, Excluded, Rules

Status = PolicyChange.Status
BADGES = {
    Status.PENDING: Badge("warn", "clock", "Needs 1 approval"),
    Status.APPROVED: Badge("ok", "circle-check", "Approved"),
    Status.REJECTED: Badge("bad", "circle-x", "Rejected"),
    Status.WITHDRAWN: Badge("idle", "undo-2", "Withdrawn"),
}


def change_badge(change: PolicyChange) -> Badge:
    """Return what became of a proposed change."""
    return BADGES[Status(change.status)]


def words_of(rules: Rules) -> list[tuple[str, str]]:
    """Return each rule with its name, in the order people read them."""
    needed = "Needed" if rules.real_engine_required else "Not needed: a stand-in's run counts too"
    return [
        ("Approvals", str(rules.approvals)),
        ("Approvals by", role_words(rules.approver_roles)),
        ("Never by", excluded_words(rules)),
        ("An approval counts for", counted(rules.approval_max_age_days, "day")),
        ("Change record", _capital(CHANGE_WORDS[ChangeRule(rules.change)])),
        *_freezes(rules),
        ("Evaluation by a real engine", needed),
        ("Weights", ", ".join(f"{percent} %" for percent in rules.steps)),
        ("Each is held for", f"{rules.hold_seconds:,} s"),
        ("Calls needed of each version", f"{rules.minimum_calls:,}"),
        ("Errors at most", f"the baseline's and {rules.error_points:g} percentage points"),
        (
            "TTFT p95 at most",
            f"{rules.ttft_factor:g} × the baseline's and {rules.ttft_slack_ms:g} ms",
        ),
        ("Tokens/s at least", f"{rules.speed_factor:g} × the baseline's"),
        ("Emergencies are reviewed within", counted(rules.emergency_review_hours, "hour")),
    ]


def _freezes(rules: Rules) -> list[tuple[str, str]]:
    if not rules.freezes:
        return [("Freeze windows", "None")]
    found = []
    for number, freeze in enumerate(rules.freezes, 1):
        but = f", but not for {', '.join(freeze.exceptions)}" if freeze.exceptions else ""
        found.append((f"Freeze window {number}", f"{_capital(freeze.when())}{but}: {freeze.words}"))
    return found


def excluded_words(rules: Rules) -> str:
    """Return who does not approve: "Whoever proposed it, owners of the model"."""
    return _capital(", ".join(EXCLUDED_WORDS[Excluded(one)] for one in rules.excluded))


def difference(before: Rules, after: Rules) -> list[diffs.File]:
    """Return what changes from some rules to others, line by line."""
    return diffs.between("policy", _text(before), _text(after))


def _text(rules: Rules) -> str:
    return "\n".join(f"{label}: {words}" for label, words in words_of(rules))


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
