"""The gate's guard: which rules are for a call, what they find in its texts, and what then happens.

Rules are asked in their order, and the first that blocks ends it. What one speaker says is looked
at together, as the model reads it, so that an instruction in two parts or two turns is one; what
identifies somebody, over all speakers, for one asks "Which SSN?" and another answers. A call whose
data class nobody knows is treated as if it were approved for public data alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from apps.access.models import Grant
from apps.gateway.gate import refusals
from apps.gateway.gate.calls import Call, Text
from apps.gateway.gate.steps import Away, Blocked, Does, Finding, Verdict
from apps.gateway.guard import actions, queries
from apps.gateway.guard.answers import InspectedAnswer
from apps.gateway.guard.detectors.hits import Hit, without_overlaps
from apps.gateway.guard.inspection import NOT_INSPECTED, NotInspected, ReadyRule, look
from apps.gateway.guard.keeping import Noted
from apps.gateway.guard.ready import guards_from_settings, ready
from apps.gateway.guard.rules import Phase, Provider, Rule, lower_data_class

WHOEVER_SPEAKS = (Provider.MEMBER_DATA.value, Provider.SECRETS.value)
MOST_FINDINGS = 100  # of one request


@dataclass(frozen=True)
class InForce:
    """The rules as one gate has them. classes: (team, model) → the data class of its calls."""

    digest: str
    rules: tuple[tuple[Rule, ReadyRule], ...]
    classes: dict[tuple[str, str], str]
    _chosen: dict[tuple[Phase, str, str], list[tuple[Rule, ReadyRule]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def of(self, phase: Phase, call: Call) -> list[tuple[Rule, ReadyRule]]:
        """Return the rules for one half of a call, in their order."""
        team, model = call.caller.team, call.model
        if (known := self._chosen.get((phase, team, model))) is not None:
            return known
        data_class = self.classes.get((team, model)) or lower_data_class(())
        found = [
            (rule, prepared)
            for rule, prepared in self.rules
            if rule.is_for(phase, model=model, team=team, data_class=data_class)
        ]
        if (team, model) in self.classes:  # else anybody could fill it with names
            self._chosen[phase, team, model] = found
        return found


class RulesGuard:
    """The Guard of a gate. make: makes a rule ready to look."""

    def __init__(self, make: Callable[[Rule], ReadyRule]) -> None:
        self._make = make
        self._now: InForce | None = None
        self._noted = Noted()

    @classmethod
    def from_settings(cls) -> "RulesGuard":
        """Return the guard of this deployment."""
        return cls(partial(ready, guards=guards_from_settings()))

    def load(self, now: datetime) -> None:
        """Keep what was found since, then read the rules in force and the grants' data classes.
        Three queries where nothing was found.
        """
        self._noted.keep(actions.keep_hits)
        ruling, known = queries.in_force(now), self._now
        if known is not None and known.digest == ruling.digest:
            rules = known.rules
        else:
            rules = tuple((rule, self._make(rule)) for rule in ruling.rules.rules)
        self._now = InForce(ruling.digest, rules, data_classes(now))

    async def request(self, call: Call) -> Verdict:
        """Let each rule look at what the caller sent. Raises Blocked where one blocks it or cannot
        look and is closed, Away before the rules were read.
        """
        now = self._in_force()
        found: list[Finding] = []
        by_speaker, as_one = by_role(call.texts), together(call.texts)
        for rule, prepared in now.of(Phase.REQUEST, call):
            shown = as_one if rule.provider in WHOEVER_SPEAKS else by_speaker
            counts = await self._look(now, call, rule, prepared, shown, found)
            for finding, count in counts.items():
                self._noted.note(
                    call, finding, provider=rule.provider, rules=now.digest, count=count
                )
            found += list(counts)[: max(MOST_FINDINGS - len(found), 0)]
            if any(finding.does is Does.BLOCK for finding in counts):
                raise _blocked(rule, Verdict(now.digest, tuple(found)))
        return Verdict(now.digest, tuple(found))

    async def _look(
        self,
        now: InForce,
        call: Call,
        rule: Rule,
        prepared: ReadyRule,
        shown: "Sequence[Shown]",
        before: Sequence[Finding],
    ) -> Counter[Finding]:
        """Return what one rule finds, with how often, by kind: the first place of each."""
        phase = Phase.REQUEST.value
        unseen = Finding(rule.name, NOT_INSPECTED, Does.BLOCK, phase, "")
        try:
            looked = await look(prepared, [one.text for one in shown])
        except NotInspected as problem:
            self._noted.note(call, unseen, provider=rule.provider, rules=now.digest)
            verdict = Verdict(now.digest, (*before, unseen))
            raise _unseen(str(problem), verdict) from None
        if looked.is_open:
            return Counter([Finding(rule.name, NOT_INSPECTED, Does.MONITOR, phase, "")])
        first: dict[str, Finding] = {}
        counts: Counter[Finding] = Counter()
        for one, hits in zip(shown, looked.hits, strict=True):
            for hit in without_overlaps(hits):
                made = Finding(rule.name, hit.detector, prepared.does, phase, one.where(hit))
                counts[first.setdefault(hit.detector, made)] += 1
        return counts

    def answer(self, call: Call) -> InspectedAnswer:
        """Return what inspects the call's answer. Raises Away before the rules were read."""
        now = self._in_force()
        chosen = now.of(Phase.ANSWER, call)
        providers = {rule.name: rule.provider for rule, _ in chosen}

        def note(finding: Finding) -> None:
            self._noted.note(
                call, finding, provider=providers.get(finding.rule, ""), rules=now.digest
            )

        return InspectedAnswer(call, [prepared for _, prepared in chosen], now.digest, note=note)

    def _in_force(self) -> InForce:
        if self._now is None:
            raise Away("the guard has not read its rules yet")
        return self._now


def data_classes(at: datetime) -> dict[tuple[str, str], str]:
    """Return (team, model) → the data class of its calls: the lower of the model's and of what the
    grant was asked for. One query.
    """
    rows = Grant.objects.active(at).values_list(
        "team__slug", "registered_model__name", "request__data_class",
        "registered_model__data_class",
    )  # fmt: skip
    return {(team, model): lower_data_class(classes) for team, model, *classes in rows}


@dataclass(frozen=True)
class Shown:
    """Texts that are looked at as one. starts: where each begins in it."""

    text: Text
    texts: tuple[Text, ...]
    starts: tuple[int, ...]

    def where(self, hit: Hit) -> str:
        """Return the place of the text in which a hit begins."""
        place = sum(start <= hit.start for start in self.starts) - 1
        return self.texts[place].where


def together(texts: Sequence[Text]) -> list[Shown]:
    """Return all texts as one, a line's end between."""
    return [_joined(tuple(texts))] if texts else []


def by_role(texts: Iterable[Text]) -> list[Shown]:
    """Return the texts of each role as one, also those of several turns, a line's end between."""
    roles: dict[str, list[Text]] = {}
    for text in texts:
        roles.setdefault(text.role, []).append(text)
    return [_joined(tuple(found)) for found in roles.values()]


def _joined(texts: tuple[Text, ...]) -> Shown:
    starts, at = [], 0
    for text in texts:
        starts.append(at)
        at += len(text.text) + 1
    whole = Text(texts[0].where, texts[0].role, "\n".join(text.text for text in texts))
    return Shown(whole, texts, tuple(starts))


def _blocked(rule: Rule, verdict: Verdict) -> Blocked:
    refusal = refusals.request_filtered(rule.name, rule.message)
    return Blocked.by(refusal, verdict)


def _unseen(why: str, verdict: Verdict) -> Blocked:
    return Blocked.by(refusals.unavailable(why), verdict)
