"""Rules in words: for the page of the policy, for the diff of a change, for a promotion's page.
Pure.
"""

from collections.abc import Mapping

from apps.common import diffs
from apps.common.counts import counted
from apps.promotions.policy.reviewers import role_words
from apps.promotions.policy.rules import CHANGE_WORDS, EXCLUDED_WORDS, ChangeRule, Excluded, Rules

WINDOW, WINDOWS = "Freeze window", "Freeze windows"


def words_of(rules: Rules) -> list[tuple[str, str]]:
    """Return each rule with its name, in the order people read them."""
    needed = "Needed" if rules.real_engine_required else "Not needed: a stand-in's run counts too"
    return [
        ("Approvals", str(rules.approvals)),
        ("Approvals by", role_words(rules.approver_roles)),
        ("Never by", excluded_words(rules)),
        ("An approval counts for", counted(rules.approval_max_age_days, "day")),
        ("Change record", capital(CHANGE_WORDS[ChangeRule(rules.change)])),
        *_freezes(rules),
        ("Evaluation by a real engine", needed),
        ("Weights", ", ".join(f"{percent} %" for percent in rules.steps)),
        ("Each is held for", f"{rules.hold_seconds:,} s"),
        ("Calls needed of each version", f"{rules.minimum_calls:,}"),
        ("Errors at most", f"{rules.error_points:g} percentage points above the baseline's"),
        (
            "TTFT p95 at most",
            f"{rules.ttft_factor:g} × the baseline's, plus {rules.ttft_slack_ms:g} ms",
        ),
        ("Tokens/s at least", f"{rules.speed_factor:g} × the baseline's"),
        ("Emergencies are reviewed within", counted(rules.emergency_review_hours, "hour")),
    ]


def side_by_side(policies: Mapping[str, Rules]) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Return each rule with what several policies say of it: (rule, [(policy's name, lines)]), a
    line for each freeze window.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for name, rules in policies.items():
        for label, words in words_of(rules):
            rule = WINDOWS if label.startswith(WINDOW) else label
            found.setdefault(rule, {}).setdefault(name, []).append(words)
    return [(rule, list(cells.items())) for rule, cells in found.items()]


def _freezes(rules: Rules) -> list[tuple[str, str]]:
    if not rules.freezes:
        return [(WINDOWS, "None")]
    found = []
    for number, freeze in enumerate(rules.freezes, 1):
        but = f", but not for {', '.join(freeze.exceptions)}" if freeze.exceptions else ""
        found.append((f"{WINDOW} {number}", f"{capital(freeze.when())}{but}: {freeze.words}"))
    return found


def excluded_words(rules: Rules) -> str:
    """Return who does not approve: "Whoever proposed it, owners of the model"."""
    return capital(", ".join(EXCLUDED_WORDS[Excluded(one)] for one in rules.excluded))


def difference(before: Rules, after: Rules) -> list[diffs.File]:
    """Return what changes from some rules to others, line by line."""
    return diffs.between("policy", _text(before), _text(after))


def _text(rules: Rules) -> str:
    return "\n".join(f"{label}: {words}" for label, words in words_of(rules))


def capital(words: str) -> str:
    """Return words with a capital at their beginning."""
    return words[:1].upper() + words[1:]
