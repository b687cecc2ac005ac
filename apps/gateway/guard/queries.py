"""Which rules are in force, and what they found. The first rules are the set that ships."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Q, Sum

from apps.common import rulings
from apps.gateway.guard.models import NOT_INSPECTED, GuardHit, GuardHitQuerySet, GuardrailRevision
from apps.gateway.guard.rules import RuleSet
from apps.gateway.guard.shipped import SHIPPED

Ruling = rulings.Ruling[RuleSet, GuardrailRevision]


def in_force(at: datetime) -> Ruling:
    """Return the rules of this environment at a moment. One query."""
    rows = GuardrailRevision.objects.filter(
        environment=settings.ENVIRONMENT_NAME, active_from__lte=at
    )
    found = rows.order_by("-number").first()
    return Ruling(found.rules, found) if found else Ruling(SHIPPED, None)


def revisions() -> list[GuardrailRevision]:
    """Return the revisions of this environment with their changes and people, newest first."""
    rows = GuardrailRevision.objects.filter(environment=settings.ENVIRONMENT_NAME)
    people = rows.select_related("change__requested_by", "change__decided_by")
    return list(people.order_by("-number"))


@dataclass(frozen=True)
class Tally:
    """What a rule found in some time. calls: rows, one per call and detector; blocked: those that
    ended the call; true, false: what people said of them; unseen: what it could not look at.
    """

    rule: str
    calls: int
    blocked: int
    finds: int
    true: int
    false: int
    unseen: int
    last_at: datetime | None

    @property
    def marked(self) -> int:
        """Return how many somebody judged."""
        return self.true + self.false

    @property
    def precision(self) -> float | None:
        """Return the share of those judged that were true, 0 to 1; None where nobody judged any."""
        return self.true / self.marked if self.marked else None


def tallies(hits: GuardHitQuerySet, rules: Iterable[str] = ()) -> list[Tally]:
    """Return a tally of each rule that has hits, and of each of `rules` that has none; those with
    most first. One query.
    """
    found = ~Q(detector=NOT_INSPECTED)
    rows = (
        hits.order_by()
        .values("rule")
        .annotate(
            calls=Count("id", filter=found),
            blocked=Count("id", filter=found & Q(does="block")),
            finds=Sum("count", filter=found),
            true=Count("id", filter=Q(mark=GuardHit.Mark.TRUE)),
            false=Count("id", filter=Q(mark=GuardHit.Mark.FALSE)),
            unseen=Count("id", filter=~found),
            last_at=Max("at"),
        )
    )
    made = [_tally(row) for row in rows]
    known = {one.rule for one in made}
    made += [Tally(name, 0, 0, 0, 0, 0, 0, None) for name in rules if name not in known]
    return sorted(made, key=lambda one: (-one.calls, one.rule))


def _tally(row: Any) -> Tally:
    return Tally(**{**row, "finds": row["finds"] or 0})
