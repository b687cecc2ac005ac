"""What people decided about calls, as a gate knows it: budgets and boosts, grants, prices, models.

Read whole once, then what has changed since: every row of these tables is written once and ends at
a moment that it tells, so what is new or ended lately is found by its own dates. Each is kept with
its own beginning and end, and asked for the moment of a call: what begins or ends between two
readings does so on time. A reader in another thread meets one row or the next, never half a one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Q

from apps.access.budgets.models import Boost, Budget, Mode, decider_words, scope_words
from apps.access.holds.models import ALWAYS_FROM, Kind
from apps.access.models import Grant
from apps.catalog.facts.models import ModelFacts
from apps.catalog.models import RegisteredModel
from apps.chargeback.budgets.counters import Counted
from apps.chargeback.budgets.limits import Scope
from apps.chargeback.models import PriceChange, Rate
from apps.chargeback.rating import Prices
from apps.common import zones
from apps.common.periods import HOUR, hour_of
from apps.gateway.gate.calls import Call
from apps.gateway.purse import bounds
from apps.gateway.purse.turns import COST_CENTER, MODEL, TEAM, Limit

# Longer than any transaction that decides something, and than clocks differ.
OVERLAP = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)
AT_ONCE = 5000
# ids below the newest one: a row may still come to be seen there, whose transaction took longer
LATE = 100


@dataclass(frozen=True, slots=True)
class Lasting:
    """What is in force over [begins, ends); ends: None for as long as nobody ends it."""

    begins: datetime
    ends: datetime | None

    def is_at(self, moment: datetime) -> bool:
        """Tell whether it is in force at a moment."""
        return self.begins <= moment and (self.ends is None or moment < self.ends)


@dataclass(frozen=True, slots=True)
class BudgetTerm(Lasting):
    """A budget that refuses calls, or only warns."""

    pk: UUID
    series: UUID
    scope: Scope
    unit: str
    amount: Decimal
    zone: str
    refuses: bool


@dataclass(frozen=True, slots=True)
class GrantTerm(Lasting):
    """What a team may use of a model in a minute, and at once, None for any number of calls; and of
    which class its calls are.
    """

    tokens_per_minute: int
    calls_at_once: int | None
    service_class: str


@dataclass(frozen=True, slots=True)
class BoostTerm(Lasting):
    """What a boost adds to each month of its budget."""

    amount: Decimal


@dataclass(frozen=True, slots=True)
class RateTerm(Lasting):
    """The price of a SKU."""

    sku: str
    usd: Decimal


@dataclass(frozen=True, slots=True)
class ModelTerm:
    """A model: tokens of its context, and the slug of the team that owns it."""

    context: int
    owner: str


@dataclass(frozen=True)
class BudgetLimit:
    """A limit of a budget, as it is at the moment of a call: what the counter is held to, and what
    a refused caller is told.
    """

    limit: Limit
    budget: BudgetTerm
    ends_at: datetime
    scope: str
    decider: str


class Terms:
    """What a gate knows. `load` reads it, in a thread; the rest asks nothing of the database."""

    def __init__(self) -> None:
        self._read_at: datetime | None = None
        self._budgets: dict[Scope, tuple[BudgetTerm, ...]] = {}
        self._boosts: dict[UUID, tuple[BoostTerm, ...]] = {}
        self._grants: dict[tuple[str, str], tuple[GrantTerm, ...]] = {}
        self._models: dict[str, ModelTerm] = {}
        self._overheads: dict[str, dict[int, int]] = {}  # model → version → tokens
        self._rates: dict[str, tuple[RateTerm, ...]] = {}
        self._rates_seen: Any = None
        self._prices: dict[tuple[str, datetime], Prices] = {}
        self._facts_seen: set[int] = set()
        self._models_seen: set[int] = set()
        self._grants_seen = self._budgets_seen = self._budgets_counted = -1

    def load(self, now: datetime) -> list[BudgetTerm]:
        """Read what is new since the last time, all of it the first time; return the budgets that
        were read, which count from `put_in_force` on. Eight queries, and one more where prices
        changed.
        """
        since = None if self._read_at is None else self._read_at - OVERLAP
        self._load_models()
        self._load_rates(now)
        self._load_boosts(now)
        self._load_grants(now, since)
        found = self._read_budgets(now, since)
        self._read_at = now
        return found

    # -- Models and prices -------------------------------------------------------------------------
    def _load_models(self) -> None:
        rows = RegisteredModel.objects.filter(_unseen(self._models_seen)).order_by("pk")
        for pk, name, context, owner in rows.values_list(
            "pk", "name", "context_length", "owner_team__slug"
        ):
            self._models[name] = ModelTerm(context, owner)
            self._models_seen.add(pk)
        facts = ModelFacts.objects.filter(_unseen(self._facts_seen)).order_by("pk")
        names = ("pk", "version_id", "version__registered_model__name", "chat_template")
        for pk, version, name, template in facts.values_list(*names).iterator(chunk_size=500):
            self._overheads.setdefault(name, {})[version] = bounds.overhead(template)
            self._facts_seen.add(pk)

    def _load_rates(self, now: datetime) -> None:
        """Read all prices anew where any was published."""
        listed = PriceChange.objects.filter(status__in=PriceChange.LISTED)
        seen = listed.aggregate(count=Count("pk"), latest=Max("decided_at"), rate=Max("rates__pk"))
        if seen == self._rates_seen:
            return
        ends = Q(active_to__isnull=True) | Q(active_to__gt=now - HOUR)
        names = ("registered_model__name", "sku", "unit_price_usd", "active_from", "active_to")
        rates: dict[str, tuple[RateTerm, ...]] = {}
        for name, sku, usd, begins, to in Rate.objects.current().filter(ends).values_list(*names):
            rates[name] = (*rates.get(name, ()), RateTerm(begins, to, sku, usd))
        self._rates, self._prices, self._rates_seen = rates, {}, seen

    # -- What is granted ---------------------------------------------------------------------------
    def _load_boosts(self, now: datetime) -> None:
        names = ("budget__series", "decided_at", "ends_at", "amount")
        boosts: dict[UUID, tuple[BoostTerm, ...]] = {}
        for series, begins, ends, amount in Boost.objects.active(now).values_list(*names):
            boosts[series] = (*boosts.get(series, ()), BoostTerm(begins, ends, amount))
        self._boosts = boosts

    def _load_grants(self, now: datetime, since: datetime | None) -> None:
        count = Grant.objects.count()
        rows = Grant.objects.filter(active_to__gt=now - OVERLAP)
        # one more may have begun long ago: whoever brings grants along says since when they hold
        if since is not None and count == self._grants_seen:
            rows = rows.filter(Q(active_from__gte=since) | Q(revoked_at__gte=since))
        self._grants_seen = count
        names = (
            "team__slug", "registered_model__name", "active_from", "active_to", "revoked_at",
            "tokens_per_minute", "calls_at_once", "service_class",
        )  # fmt: skip
        found = rows.order_by("active_from").values_list(*names).iterator(chunk_size=AT_ONCE)
        for team, model, begins, to, revoked, *rest in found:
            term = GrantTerm(begins, min(to, revoked or to), *rest)
            kept = _others(self._grants.get((team, model), ()), term, now)
            self._grants[team, model] = (*kept, term)

    def _read_budgets(self, now: datetime, since: datetime | None) -> list[BudgetTerm]:
        count, rows = Budget.objects.count(), Budget.objects.active(now)
        if since is not None:
            changed = Budget.objects.filter(Q(active_from__gte=since) | Q(active_to__gte=since))
            rows = changed if count == self._budgets_seen else rows | changed
        self._budgets_counted = count
        names = (
            "pk", "series", "cost_center__code", "team__slug", "registered_model__name", "unit",
            "amount", "zone", "mode", "active_from", "active_to",
        )  # fmt: skip
        found = rows.order_by("active_from").values_list(*names).iterator(chunk_size=AT_ONCE)
        terms = [
            BudgetTerm(
                begins,
                to,
                pk,
                series,
                (cost_center or "", team or "", model or ""),
                unit,
                amount,
                zone,
                mode == Mode.HARD,
            )
            for pk, series, cost_center, team, model, unit, amount, zone, mode, begins, to in found
        ]
        return [term for term in terms if term not in self._budgets.get(term.scope, ())]

    def all_budgets(self, read: Iterable[BudgetTerm], now: datetime) -> list[Counted]:
        """Return what every budget in force is counted by, those that were just read among them."""
        known = (term for terms in list(self._budgets.values()) for term in terms)
        found = {term.pk: term for term in (*known, *read)}
        return [_counted(term) for term in found.values() if term.is_at(now)]

    def unknown(self, read: Iterable[BudgetTerm], now: datetime) -> list[Counted]:
        """Return what those of the budgets that were just read are counted by that are in force and
        were not known.
        """
        known = {term.pk for term in read for term in self._budgets.get(term.scope, ())}
        return [_counted(term) for term in read if term.pk not in known and term.is_at(now)]

    def put_in_force(self, read: Iterable[BudgetTerm], now: datetime) -> None:
        """Let budgets count, once their counters are ready."""
        self._budgets_seen = self._budgets_counted
        for term in read:
            kept = [
                other
                for other in self._budgets.get(term.scope, ())
                if other.pk != term.pk and (other.ends is None or other.ends > now - OVERLAP)
            ]
            self._budgets[term.scope] = (*kept, term)

    # -- What a call meets -------------------------------------------------------------------------
    def grant(self, team: str, model: str, at: datetime) -> GrantTerm | None:
        """Return the grant of a team for a model at a moment, or None."""
        terms = self._grants.get((team, model), ())
        return next((term for term in terms if term.is_at(at)), None)

    def model(self, name: str) -> ModelTerm | None:
        """Return a model, or None."""
        return self._models.get(name)

    def overhead(self, model: str) -> int:
        """Return how many tokens the templates of a model's versions write, at most."""
        return max(self._overheads.get(model, {}).values(), default=bounds.UNKNOWN_OVERHEAD)

    def prices(self, model: str, at: datetime) -> Prices:
        """Return a model's prices when a moment's hour began: those that the ledger takes."""
        key, known = (model, hour_of(at)), self._prices
        if (found := known.get(key)) is None:
            # into what was known before the rates were read: others may take its place meanwhile
            rates = [rate for rate in self._rates.get(model, ()) if rate.is_at(key[1])]
            found = known[key] = Prices.of({rate.sku: rate.usd for rate in rates})
        return found

    def limits(self, call: Call) -> list[BudgetLimit]:
        """Return the limits of the budgets that may refuse a call, as they are at its moment."""
        caller = call.caller
        scopes = (
            (COST_CENTER, (caller.cost_center, "", "")),
            (TEAM, ("", caller.team, "")),
            (MODEL, ("", caller.team, call.model)),
        )
        return [
            self._limit(level, term, call.at)
            for level, scope in scopes
            for term in self._budgets.get(scope, ())
            if term.refuses and term.is_at(call.at)
        ]

    def _limit(self, level: int, term: BudgetTerm, at: datetime) -> BudgetLimit:
        boosts = (each.amount for each in self._boosts.get(term.series, ()) if each.is_at(at))
        start, end = zones.month_bounds_in(term.zone, zones.month_in(term.zone, at))
        model = self._models.get(term.scope[2])
        return BudgetLimit(
            limit=Limit(Kind(term.unit), level, start, sum(boosts, term.amount)),
            budget=term,
            ends_at=end,
            scope=scope_words(*term.scope),
            decider=decider_words(
                of_cost_center=level == COST_CENTER, owner_team=model.owner if model else ""
            ),
        )


def _unseen(seen: set[int]) -> Q:
    """Return which rows were not read yet: above the newest one, and of those shortly below it the
    ones that were not there. Forgets of `seen` what lies too far below.
    """
    first = max(seen, default=0) - LATE
    seen -= {pk for pk in seen if pk <= first}
    return Q(pk__gt=first) & ~Q(pk__in=sorted(seen))


def _counted(term: BudgetTerm) -> Counted:
    return Counted(term.pk, term.unit, term.scope, term.zone)


def _others(terms: Iterable[GrantTerm], new: GrantTerm, now: datetime) -> list[GrantTerm]:
    """Return the grants that stay beside one that was read: neither the same, nor long ended."""
    return [
        term
        for term in terms
        if term.begins != new.begins and (term.ends is None or term.ends > now - OVERLAP)
    ]


def of_grant(grant: GrantTerm, at: datetime) -> list[Limit]:
    """Return the limits of a grant at a moment: its minute's tokens, and the calls at once."""
    minute = Limit(Kind.MINUTE, MODEL, at.replace(second=0, microsecond=0), grant.tokens_per_minute)
    if grant.calls_at_once is None:
        return [minute]
    return [minute, Limit(Kind.CALLS, MODEL, ALWAYS_FROM, grant.calls_at_once)]
