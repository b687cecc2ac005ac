"""Rules and hits in words: for pages, for the diff of a change. Pure."""

import json

from apps.catalog.models import DataClass
from apps.common import diffs
from apps.common.badges import Badge
from apps.common.counts import counted
from apps.gateway.gate.steps import Does
from apps.gateway.guard.detectors.injection.rules import REASONS
from apps.gateway.guard.models import GuardHit
from apps.gateway.guard.queries import Tally
from apps.gateway.guard.rules import ENTITIES, PROVIDER_WORDS, Phase, Provider, Rule, RuleSet

DOES = {
    Does.BLOCK.value: Badge("bad", "ban", "Blocks"),
    Does.MONITOR.value: Badge("idle", "eye", "Monitors"),
    Does.MASK.value: Badge("busy", "eye-off", "Masks"),
}
DID = {
    Does.BLOCK.value: Badge("bad", "ban", "Blocked"),
    Does.MONITOR.value: Badge("idle", "eye", "Noted"),
    Does.MASK.value: Badge("busy", "eye-off", "Masked"),
}
CLOSED = Badge("bad", "ban", "Refused unseen", title="The rule could not look, and closes")
OPENED = Badge(
    "warn", "triangle-alert", "Passed unseen", title="The rule could not look, and opens"
)
MARKS = {
    GuardHit.Mark.TRUE: Badge("ok", "circle-check", "True hit"),
    GuardHit.Mark.FALSE: Badge("warn", "circle-x", "False alarm"),
}
PHASES = {Phase.REQUEST.value: "Prompt", Phase.ANSWER.value: "Answer"}

KEYS = [
    ("phase", "request (the prompt) or answer"),
    ("provider", "An object: type, and what that type must be told"),
    ("MemberData", ", ".join(ENTITIES[Provider.MEMBER_DATA])),
    ("Secrets", ", ".join(ENTITIES[Provider.SECRETS])),
    ("PromptInjection", ", ".join(ENTITIES[Provider.PROMPT_INJECTION])),
    ("Regex", "patterns: names in capitals, each with an RE2 expression"),
    ("Classifier", "model, and labels: those that are finds"),
    ("ChatGuard", "model, dialect and criterion"),
    ("Presidio", "language"),
    ("detectors", "The kinds that count; none for all"),
    ("action", "block, monitor or, in answers, mask"),
    ("scope", "models, teams, dataClasses; an empty list narrows nothing"),
    ("threshold", "The least score, 0 to 1"),
    ("onlyNew", "In answers: leave out what stood in the prompt"),
    ("failureMode", "FailClosed or FailOpen, after timeoutSeconds"),
    ("message", "What callers read"),
]


def did_badge(hit: GuardHit) -> Badge:
    """Return what the rule did with what it found, or with what it could not look at."""
    if hit.was_not_inspected:
        return CLOSED if hit.does == Does.BLOCK else OPENED
    return DID[hit.does]


def mark_badge(hit: GuardHit) -> Badge | None:
    """Return what people said of a hit; None where nobody has."""
    return MARKS[GuardHit.Mark(hit.mark)] if hit.mark else None


def scope_words(rule: Rule) -> str:
    """Return which calls a rule is for."""
    scope = rule.scope
    parts = []
    if scope.models:
        parts.append("of " + ", ".join(scope.models))
    if scope.teams:
        parts.append("by " + ", ".join(scope.teams))
    if scope.data_classes:
        labels = " or ".join(str(DataClass(one).label).lower() for one in scope.data_classes)
        parts.append(f"approved for {labels} data at most")
    return f"calls {' '.join(parts)}" if parts else "all calls"


def finds_words(rule: Rule) -> str:
    """Return what a rule looks for."""
    provider = PROVIDER_WORDS[Provider(rule.provider)]
    names = ", ".join(rule.detectors) if rule.detectors else "all that it knows"
    if rule.provider == Provider.REGEX:
        names = ", ".join(rule.finds)
    new = ", only what was not in the prompt" if rule.only_new else ""
    return f"{provider}: {names}{new}"


def failure_words(rule: Rule) -> str:
    """Return what becomes of a call that a rule cannot look at in time, as a sentence."""
    then = "is refused" if rule.fails_closed else "passes, and that is noted"
    return f"A call that it cannot look at within {rule.timeout_seconds:g} s {then}."


def tally_words(tally: Tally) -> str:
    """Return how far a rule can be trusted: "92 % of 50 judged"; in words where nobody judged."""
    if tally.precision is None:
        return "not judged"
    return f"{100 * tally.precision:.0f} % of {counted(tally.marked, 'judged', 'judged')}"


def reasons_of(detector: str) -> tuple[str, ...]:
    """Return why text of this kind is found, for injected instructions; none for other kinds."""
    return REASONS.get(detector, ())


def difference(before: RuleSet, after: RuleSet) -> list[diffs.File]:
    """Return what changes from one set to another, line by line."""
    return diffs.between("rules.json", text_of(before), text_of(after))


def text_of(rules: RuleSet) -> str:
    """Return a set as people edit it: JSON, a line for each thing."""
    return json.dumps(rules.as_json(), indent=2, ensure_ascii=False) + "\n"
