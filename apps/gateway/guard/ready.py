"""Rules made ready to look: each with its provider, and the guards it asks under their addresses.

A guard model is a model that the platform serves itself, asked where it is served and not through
the gateway: its calls are no caller's, and count against no budget. A customer's analyzer has an
address of its own (PRESIDIO_URL).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from django.conf import settings

from apps.gateway.gate.calls import Text
from apps.gateway.gate.steps import Does
from apps.gateway.guard import rules
from apps.gateway.guard.detectors.hits import Detector, Hit
from apps.gateway.guard.detectors.injection.detector import AnyInjection, surest
from apps.gateway.guard.detectors.member_data import member_data
from apps.gateway.guard.detectors.own import OwnPattern
from apps.gateway.guard.detectors.secrets import secrets
from apps.gateway.guard.inspection import ReadyRule
from apps.gateway.guard.providers import (
    ChatGuard,
    Classifier,
    Patterns,
    Presidio,
    Provider,
    own_patterns,
    patterns,
)
from apps.gateway.guard.window import Reach
from apps.integrations.engine.key import engine_key
from apps.integrations.errors import PermanentError
from apps.integrations.guards.client import GuardClient
from apps.integrations.guards.dialects import Dialect
from apps.manifests.names import MODELS

LONGEST_CALL = 60.0  # seconds: beyond any rule's own time, which ends a call sooner
# Of the time that a gate takes for one judgment: were a rule given more, the gate would refuse the
# call first, also where the rule is open.
MOST_OF_A_JUDGMENT = 0.8


@dataclass(frozen=True)
class Guards:
    """The guards that rules may ask: a client of each model, by its name, and of the analyzer."""

    model: Callable[[str], GuardClient]
    analyzer: Callable[[], GuardClient]


def guards_from_settings() -> Guards:
    """Return the guards of this deployment. Each has one client, made when it is first asked for;
    they belong to one event loop.
    """
    known: dict[str, GuardClient] = {}

    def model(name: str) -> GuardClient:
        if name not in known:
            known[name] = GuardClient(
                f"http://{name}-predictor.{MODELS}.svc.cluster.local",
                timeout=LONGEST_CALL,
                proxy=settings.CLUSTER_HTTP_PROXY,
                key=engine_key,
            )
        return known[name]

    def analyzer() -> GuardClient:
        if not settings.PRESIDIO_URL:
            raise PermanentError("PRESIDIO_URL is not set.")
        if "" not in known:
            known[""] = GuardClient(
                settings.PRESIDIO_URL, timeout=LONGEST_CALL, token=settings.PRESIDIO_TOKEN
            )
        return known[""]

    return Guards(model, analyzer)


def ready(rule: rules.Rule, guards: Guards) -> ReadyRule:
    """Return a rule as it looks. A guard that has no address fails when it is asked: the rule then
    closes or opens, as it says.
    """
    provider: Provider = _provider(rule, guards)
    if rule.detectors:
        provider = Chosen(provider, frozenset(rule.detectors))
    return ReadyRule(
        name=rule.name,
        provider=provider,
        does=Does(rule.action),
        fails_closed=rule.fails_closed,
        timeout_seconds=min(
            rule.timeout_seconds, settings.GATE_JUDGMENT_SECONDS * MOST_OF_A_JUDGMENT
        ),
        is_leak=rule.only_new,
        mask=rule.mask_replacement,
        message=rule.message,
    )


def _provider(rule: rules.Rule, guards: Guards) -> Provider:
    kind = rules.Provider(rule.provider)
    if kind is rules.Provider.PROMPT_INJECTION:
        return Surest(_injections(), rule.threshold)
    if kind in _SHIPPED:
        return _shipped(kind, rule.threshold)
    if kind is rules.Provider.REGEX:
        return own_patterns([OwnPattern(name, text) for name, text in rule.patterns])
    return _asked(kind, rule, guards)


_SHIPPED: dict[rules.Provider, Callable[[float], Detector]] = {
    rules.Provider.MEMBER_DATA: member_data,
    rules.Provider.SECRETS: secrets,
}


@cache
def _shipped(kind: rules.Provider, threshold: float) -> Patterns:
    """Return the one provider of a detector with a threshold, which several rules share."""
    return patterns(_SHIPPED[kind](threshold))


@cache
def _injections() -> Patterns:
    """Return what looks for instructions, once for rules of any threshold."""
    return patterns(AnyInjection())


def _asked(kind: rules.Provider, rule: rules.Rule, guards: Guards) -> Provider:
    """Return the provider of a rule that asks somebody else."""
    try:
        if kind is rules.Provider.CLASSIFIER:
            client = guards.model(rule.model)
            return Classifier(client, rule.model, frozenset(rule.labels), rule.threshold)
        if kind is rules.Provider.CHAT_GUARD:
            client, dialect = guards.model(rule.model), Dialect(rule.dialect)
            return ChatGuard(client, rule.model, dialect, rule.criterion, rule.threshold)
        return Presidio(guards.analyzer(), rule.language, rule.detectors, rule.threshold)
    except (PermanentError, ValueError) as problem:
        return Nobody(str(problem))


@dataclass(frozen=True)
class Chosen:
    """A provider of which some finds count. detectors: their names."""

    provider: Provider
    detectors: frozenset[str]

    @property
    def reach(self) -> Reach:
        """Return how far finds stretch."""
        return self.provider.reach

    @property
    def is_near(self) -> bool:
        """Tell whether it looks in this process."""
        return self.provider.is_near

    def may_hold(self, text: str, new: int = 0) -> bool:
        """Tell whether a find can lie in a text and end behind `new`."""
        return self.provider.may_hold(text, new)

    def at_once(self, texts: Sequence[Text]) -> list[Hit] | None:
        """Return the finds that count, where that takes next to no time."""
        found = self.provider.at_once(texts)
        return None if found is None else self._counting(found)

    async def find(self, texts: Sequence[Text]) -> list[Hit]:
        """Return the finds that count."""
        return self._counting(await self.provider.find(texts))

    def _counting(self, found: Sequence[Hit]) -> list[Hit]:
        return [hit for hit in found if hit.detector in self.detectors]


@dataclass(frozen=True)
class Surest:
    """A provider of which the finds count that are sure enough, of those that overlap the surest.
    threshold: the least score, 0 to 1.
    """

    provider: Provider
    threshold: float

    @property
    def reach(self) -> Reach:
        """Return how far finds stretch."""
        return self.provider.reach

    @property
    def is_near(self) -> bool:
        """Tell whether it looks in this process."""
        return self.provider.is_near

    def may_hold(self, text: str, new: int = 0) -> bool:
        """Tell whether a find can lie in a text and end behind `new`."""
        return self.provider.may_hold(text, new)

    def at_once(self, texts: Sequence[Text]) -> list[Hit] | None:
        """Return the finds that count, where that takes next to no time."""
        found = self.provider.at_once(texts)
        return None if found is None else surest(found, self.threshold)

    async def find(self, texts: Sequence[Text]) -> list[Hit]:
        """Return the finds that count."""
        return surest(await self.provider.find(texts), self.threshold)


@dataclass(frozen=True)
class Nobody:
    """Whom a rule asks that cannot be asked. why: in words."""

    why: str
    reach: Reach = Reach(0, 0, 0)
    is_near: bool = False

    def may_hold(self, text: str, new: int = 0) -> bool:
        """Tell that each text should be looked at."""
        return True

    def at_once(self, texts: Sequence[Text]) -> None:
        """Return None: nobody answers at once."""

    async def find(self, texts: Sequence[Text]) -> list[Hit]:
        """Raise PermanentError."""
        raise PermanentError(self.why)
