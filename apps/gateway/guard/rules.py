"""What a set of guard rules says: what is looked for, in which half of which calls, and what then
happens. Pure.

Rules are data: a revision keeps them as JSON, with the names of Envoy AI Gateway's coming
GuardrailPolicy (provider.type, failureMode, timeoutSeconds, maskReplacement), and this is the one
reading of it. What nobody may agree on is refused here: a set without rules, a prompt that is
masked (the gateway sends the engine its own copy), a pattern that no machine should run.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from apps.catalog.models import DataClass
from apps.gateway.gate.steps import Does
from apps.gateway.guard.detectors import member_data, secrets
from apps.gateway.guard.detectors.expressions import BadExpression
from apps.gateway.guard.detectors.injection import rules as injection
from apps.gateway.guard.detectors.own import OwnPattern

MOST_RULES = 50
MOST_PATTERNS = 20
LONGEST_MESSAGE = 300
SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 0.05, 60.0
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DETECTOR = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class BadRules(ValueError):
    """No set of rules says this: in words for whoever wrote it."""


class Phase(StrEnum):
    """Which half of a call is looked at."""

    REQUEST = "request"
    ANSWER = "answer"


class Provider(StrEnum):
    """What looks: patterns of this project and of teams, guard models that the platform serves
    itself, a customer's analyzer.
    """

    MEMBER_DATA = "MemberData"
    SECRETS = "Secrets"
    PROMPT_INJECTION = "PromptInjection"
    REGEX = "Regex"
    CLASSIFIER = "Classifier"
    CHAT_GUARD = "ChatGuard"
    PRESIDIO = "Presidio"


class FailureMode(StrEnum):
    """What becomes of a call that could not be looked at in time."""

    CLOSED = "FailClosed"
    OPEN = "FailOpen"


PROVIDER_WORDS = {
    Provider.MEMBER_DATA: "Member data",
    Provider.SECRETS: "Secrets",
    Provider.PROMPT_INJECTION: "Prompt injection",
    Provider.REGEX: "Own patterns",
    Provider.CLASSIFIER: "Guard model (classifier)",
    Provider.CHAT_GUARD: "Guard model (chat)",
    Provider.PRESIDIO: "Presidio analyzer",
}
# what a provider must be told, beside its type; others have none of it
TOLD: dict[Provider, tuple[str, ...]] = {
    Provider.REGEX: ("patterns",),
    Provider.CLASSIFIER: ("model", "labels"),
    Provider.CHAT_GUARD: ("model", "dialect", "criterion"),
    Provider.PRESIDIO: ("language",),
}
ENTITIES: dict[Provider, tuple[str, ...]] = {
    Provider.MEMBER_DATA: member_data.ENTITIES,
    Provider.SECRETS: secrets.ENTITIES,
    Provider.PROMPT_INJECTION: injection.ENTITIES,
}


@dataclass(frozen=True)
class Scope:
    """Which calls a rule is for; what is left empty narrows nothing. data_classes: of a call, the
    lower of its model's and its grant's.
    """

    models: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    data_classes: tuple[str, ...] = ()

    def covers(self, *, model: str, team: str, data_class: str) -> bool:
        """Tell whether a call is one of them."""
        return all(
            not named or value in named
            for named, value in (
                (self.models, model),
                (self.teams, team),
                (self.data_classes, data_class),
            )
        )


@dataclass(frozen=True)
class Rule:
    """One rule. detectors: the entities that count, all of the provider's where empty. patterns:
    (name, RE2 expression) of own patterns; model: of guards, as it is served; labels: those of a
    classifier that are finds; dialect, criterion: how a chat guard is asked, and about what;
    language: of the analyzer. threshold: the least score, 0 to 1. only_new: of an answer, what
    stood in the prompt does not count. message: what callers read, beside the rule's name. Raises
    BadRules for what no rule may say.
    """

    name: str
    phase: str
    provider: str
    action: str
    detectors: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    model: str = ""
    labels: tuple[str, ...] = ()
    dialect: str = ""
    criterion: str = ""
    language: str = ""
    scope: Scope = Scope()
    threshold: float = 0.5
    only_new: bool = False
    failure_mode: str = FailureMode.CLOSED.value
    timeout_seconds: float = 2.0
    message: str = ""
    mask_replacement: str = "[REDACTED]"

    def __post_init__(self) -> None:
        try:
            self._check()
        except BadRules as error:
            raise BadRules(f"{self.name or 'A rule'}: {error}") from None

    def _check(self) -> None:
        _require(_NAME.fullmatch(self.name), "its name is lower-case letters, digits and dashes")
        _one_of(self.phase, Phase, "phase")
        _one_of(self.provider, Provider, "provider.type")
        _one_of(self.action, Does, "action")
        _one_of(self.failure_mode, FailureMode, "failureMode")
        _require(
            self.action != Does.MASK or self.phase == Phase.ANSWER,
            "only answers can be masked: the engine gets the prompt as it was sent",
        )
        _require(
            not self.only_new or self.phase == Phase.ANSWER,
            "onlyNew is for answers: it leaves out what stood in the prompt",
        )
        _require(isinstance(self.only_new, bool), "onlyNew is true or false")
        _number(self.threshold, 0, 1, "threshold")
        _number(self.timeout_seconds, SHORTEST_TIMEOUT, LONGEST_TIMEOUT, "timeoutSeconds")
        _text(self.message, LONGEST_MESSAGE, "message")
        _text(self.mask_replacement, 60, "maskReplacement")
        _require(self.mask_replacement, "maskReplacement is empty")
        self._check_detectors()
        _names(self.scope.models, "scope.models")
        _names(self.scope.teams, "scope.teams")
        for one in self.scope.data_classes:
            _one_of(one, DataClass, "scope.dataClasses")

    def _check_detectors(self) -> None:
        told = TOLD.get(Provider(self.provider), ())
        for name in _TOLD:
            has = bool(getattr(self, name))
            said = "has no" if has else "wants"
            _require(has == (name in told), f"{self.provider} {said} provider.{name}")
        for name in ("model", "dialect", "language"):
            _names((getattr(self, name),) if getattr(self, name) else (), f"provider.{name}")
        _text(self.criterion, 500, "provider.criterion")
        _names(self.labels, "provider.labels")
        _once(self.detectors, "detectors")
        if self.provider == Provider.REGEX:
            self._check_patterns()
        known = self._known
        for one in self.detectors:
            fits = one in known if known else _DETECTOR.fullmatch(one)
            _require(fits, f"{one[:40]} is no detector of {self.provider}")

    @property
    def _known(self) -> tuple[str, ...]:
        """Return the names that its hits could have; none where only its provider knows them."""
        if self.provider == Provider.REGEX:
            return tuple(name for name, _ in self.patterns)
        return self.labels or ENTITIES.get(Provider(self.provider), ())

    def _check_patterns(self) -> None:
        _require(len(self.patterns) <= MOST_PATTERNS, f"at most {MOST_PATTERNS} patterns")
        for name, pattern in self.patterns:
            _require(
                _DETECTOR.fullmatch(name), "a pattern's name is upper-case letters, digits and _"
            )
            try:
                OwnPattern(name, pattern)
            except BadExpression as error:
                raise BadRules(f"{name}: {error}") from None

    @property
    def finds(self) -> tuple[str, ...]:
        """Return the names that its hits can have; none where only its provider knows them."""
        return self.detectors or self._known

    @property
    def fails_closed(self) -> bool:
        """Tell whether a call that could not be looked at is refused."""
        return self.failure_mode == FailureMode.CLOSED

    def is_for(self, phase: Phase, *, model: str, team: str, data_class: str) -> bool:
        """Tell whether it looks at one half of a call."""
        is_in_scope = self.scope.covers(model=model, team=team, data_class=data_class)
        return self.phase == phase and is_in_scope

    def as_json(self) -> dict[str, Any]:
        """Return the rule as it is kept."""
        provider: dict[str, Any] = {"type": self.provider}
        for name in TOLD.get(Provider(self.provider), ()):
            value = getattr(self, name)
            if name == "patterns":
                value = dict(value)
            provider[name] = list(value) if isinstance(value, tuple) else value
        return {
            "name": self.name,
            "phase": self.phase,
            "provider": provider,
            "detectors": list(self.detectors),
            "action": self.action,
            "scope": {
                "models": list(self.scope.models),
                "teams": list(self.scope.teams),
                "dataClasses": list(self.scope.data_classes),
            },
            "threshold": self.threshold,
            "onlyNew": self.only_new,
            "failureMode": self.failure_mode,
            "timeoutSeconds": self.timeout_seconds,
            "message": self.message,
            "maskReplacement": self.mask_replacement,
        }

    @classmethod
    def of(cls, body: object) -> "Rule":
        """Return the rule that JSON says. Raises BadRules, also for what no rule has."""
        given = _mapping(body, "a rule", ("name", "phase", "provider", "action"), _KEYS)
        provider = _mapping(given["provider"], "provider", ("type",), ("type", *_TOLD))
        scope = _mapping(given.get("scope", {}), "scope", (), ("models", "teams", "dataClasses"))
        patterns = _mapping(provider.get("patterns", {}), "patterns", (), None)
        values: dict[str, Any] = {
            "patterns": tuple((name, _word(text, name)) for name, text in patterns.items()),
            "labels": _words(provider.get("labels", ()), "provider.labels"),
            "detectors": _words(given.get("detectors", ()), "detectors"),
            "scope": Scope(
                _words(scope.get("models", ()), "scope.models"),
                _words(scope.get("teams", ()), "scope.teams"),
                _words(scope.get("dataClasses", ()), "scope.dataClasses"),
            ),
            "provider": _word(provider["type"], "provider.type"),
        }
        for name in ("model", "dialect", "criterion", "language"):
            values[name] = _word(provider.get(name, ""), f"provider.{name}")
        for name in ("name", "phase", "action"):
            values[name] = _word(given[name], name)
        for key, name in _PLAIN.items():
            if key in given:
                values[name] = given[key]
        return cls(**values)


_TOLD = ("patterns", "model", "labels", "dialect", "criterion", "language")
_PLAIN = {
    "threshold": "threshold",
    "onlyNew": "only_new",
    "failureMode": "failure_mode",
    "timeoutSeconds": "timeout_seconds",
    "message": "message",
    "maskReplacement": "mask_replacement",
}
_KEYS = ("name", "phase", "provider", "detectors", "action", "scope", *_PLAIN)


@dataclass(frozen=True)
class RuleSet:
    """The rules of an environment, in the order in which they are asked; the first that blocks
    ends it. Raises BadRules.
    """

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.rules) <= MOST_RULES:
            raise BadRules(f"A set has 1 to {MOST_RULES} rules.")
        try:
            _once([rule.name for rule in self.rules], "names of rules")
        except BadRules as error:
            raise BadRules(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None

    @classmethod
    def of(cls, body: object) -> "RuleSet":
        """Return the set that JSON says: {"rules": [...]}. Raises BadRules."""
        try:
            given = _mapping(body, "the set", ("rules",), ("rules",))["rules"]
            if not isinstance(given, list):
                raise BadRules("rules is a list")
            return cls(tuple(_rule_at(at, one) for at, one in enumerate(given, 1)))
        except BadRules as error:
            said = str(error).rstrip(".")
            raise BadRules(f"{said}.") from None

    def as_json(self) -> dict[str, Any]:
        """Return the set as it is kept."""
        return {"rules": [rule.as_json() for rule in self.rules]}


def lower_data_class(classes: Iterable[str]) -> str:
    """Return the data class that all of them allow; PUBLIC where nobody says any."""
    order = [str(one) for one in DataClass.values]
    return order[min((order.index(one) for one in classes), default=0)]


# -- Reading ---------------------------------------------------------------------------------------


def _rule_at(number: int, body: object) -> Rule:
    """Return the rule at a place of a set, from 1. Raises BadRules that says which it is."""
    try:
        return Rule.of(body)
    except BadRules as error:
        name = body.get("name") if isinstance(body, Mapping) else None
        is_name = isinstance(name, str) and _NAME.fullmatch(name)
        said = str(error).removeprefix(f"{name or 'A rule'}: ")
        raise BadRules(f"Rule {number}{f' ({name})' if is_name else ''}: {said}") from None


def _require(condition: object, words: str) -> None:
    if not condition:
        raise BadRules(words)


def _one_of(value: object, known: Any, what: str) -> None:
    values = [str(one.value) for one in known]
    _require(value in values, f"{what} is one of {', '.join(values)}")


def _number(value: object, least: float, most: float, what: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    _require(is_number and least <= value <= most, f"{what} is a number from {least:g} to {most:g}")  # type: ignore[operator]


def _text(value: object, most: int, what: str) -> None:
    fits = isinstance(value, str) and len(value) <= most and value.isprintable()
    _require(fits, f"{what} is one line of at most {most} characters")


def _names(values: Sequence[str], what: str) -> None:
    _once(values, what)
    for one in values:
        _require(_SLUG.fullmatch(one), f"{what} lists names, not {one[:20]!r}")


def _once(values: Sequence[str], what: str) -> None:
    _require(len(set(values)) == len(values), f"{what} are each given once")


def _mapping(
    value: object, what: str, needed: Sequence[str], known: Sequence[str] | None
) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadRules(f"{what} is an object")
    if missing := [one for one in needed if one not in value]:
        raise BadRules(f"{what} wants {', '.join(missing)}")
    unknown = sorted(str(one) for one in value if known is not None and one not in known)
    if unknown:
        raise BadRules(f"{what} has no {', '.join(unknown)[:80]}")
    return value


def _word(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise BadRules(f"{what} is a text")
    return value


def _words(value: object, what: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise BadRules(f"{what} is a list of texts")
    return tuple(_word(one, what) for one in value)
