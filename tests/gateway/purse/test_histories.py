"""Random histories: the database decides as `limits.decide` does, call by call, and the counters
stay what budgets' pages show.
"""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.access.budgets.models import Boost, Budget, Unit
from apps.access.holds.models import Counter, Kind, SettledCall
from apps.chargeback.budgets import counters
from apps.chargeback.budgets.limits import Verdict, decide, scope_of
from apps.chargeback.budgets.queries import balances
from apps.gateway.purse import upkeep
from apps.gateway.purse.turns import LEASE, Limit, Settled, Turn, Wanted, Whose
from apps.metering.models import HourlyUsage
from tests.chargeback.pricing import CHEAP, price
from tests.factories import CostCenterFactory, RegisteredModelFactory, TeamFactory, UserFactory
from tests.gateway.purse.worlds import AT, put, take

TEAMS, MODELS, CENTERS = ("claims", "prior"), ("summary", "extract"), ("CC-1", "CC-2")
SCOPES = [
    *({"cost_center": code} for code in CENTERS),
    *({"team": team} for team in TEAMS),
    *({"team": team, "model": model} for team in TEAMS for model in MODELS),
]
LEVELS = {0: 1, 1: 2, 2: 3}
amounts = st.decimals(0, 4, places=2).map(lambda usd: usd / 2)
budgets = st.tuples(
    st.sampled_from(SCOPES),
    st.sampled_from(list(Unit)),
    st.sampled_from(["UTC", "America/Los_Angeles"]),
    st.sampled_from(["HARD", "HARD", "WARN"]),
    st.integers(1, 6),
)
whoses = st.tuples(st.sampled_from(CENTERS), st.sampled_from(TEAMS), st.sampled_from(MODELS))
steps = st.one_of(
    st.tuples(st.just("reserve"), whoses, st.none() | amounts, st.integers(0, 4)),
    st.tuples(st.just("settle"), st.integers(0, 5), st.none() | amounts, st.integers(0, 4)),
    st.tuples(st.just("give back"), st.integers(0, 5), st.booleans(), st.none()),
    st.tuples(st.just("ledger"), whoses, st.integers(0, 3), st.booleans()),
    st.tuples(st.just("budget"), budgets, st.booleans(), st.none()),
    st.tuples(st.just("boost"), st.integers(0, 5), st.integers(1, 3), st.none()),
    st.tuples(st.just("keep"), st.none(), st.none(), st.none()),
)


class World:
    """Budgets, what is held, and how much time has passed."""

    def __init__(self):
        self.at = AT
        self.held: list[Wanted] = []
        centers = [CostCenterFactory(code=code) for code in CENTERS]
        teams = [TeamFactory(slug=slug, cost_center=centers[0]) for slug in TEAMS]
        models = [RegisteredModelFactory(name=name, owner_team=teams[0]) for name in MODELS]
        self.rows = {str(each): each for each in (*centers, *teams, *models)}
        price(models[0], CHEAP, datetime(2026, 11, 1, tzinfo=UTC))

    def budgets(self):
        return list(Budget.objects.active(self.at).named())

    def do(self, step):
        self.at += timedelta(seconds=1)
        what, *rest = step
        getattr(self, what.replace(" ", "_"))(*rest)

    def reserve(self, names, usd, tokens):
        """Decide by both, and compare."""
        whose = Whose(self.at, *names)
        match = Budget.objects.active(self.at).of_call(
            cost_center=names[0], team=names[1], model=names[2]
        )
        found = list(balances(match.named(), self.at).values())
        hard = [each for each in found if each.budget.mode == "HARD"]
        wanted = Wanted(uuid.uuid4(), whose, usd, tokens, 0, [_limit(each) for each in hard])
        said = decide(found, usd=usd, tokens=tokens)
        (answer,), _ = take(Turn(wanted=[wanted]), self.at)
        short = {hard[each.limit].budget.pk for each in answer.short}
        assert short == {each.budget.pk for each in said.refused_by}
        assert answer.is_held == (said.verdict != Verdict.REFUSE)
        if answer.is_held:
            self.held.append(wanted)

    def settle(self, place, usd, tokens):
        if self.held:
            one = self.held.pop(place % len(self.held))
            take(Turn(settled=[Settled(one.id, one.whose, usd, tokens)] * 2), self.at)

    def give_back(self, place, whole, _):
        """End the lease of one call, or give back what was refused later."""
        if self.held:
            one = self.held.pop(place % len(self.held))
            if whole:
                take(Turn(settled=[Settled(one.id, one.whose, None, 0, counts=False)]), self.at)
            else:
                take(Turn(given_back=[one.id]), self.at + LEASE)

    def ledger(self, names, count, takes_in):
        """Let the ledger learn of calls that no gate saw, or of all that were settled."""
        hour = self.at.replace(minute=0, second=0) - timedelta(hours=count)
        key = dict(zip(("cost_center", "team", "model"), names, strict=True))
        HourlyUsage.objects.get_or_create(
            hour=hour, version=f"{names[2]}-v1", **key,
            defaults={"metered_calls": 1, "unmetered_calls": 0, "refused_calls": 0,
                      "failed_calls": 0, "input_tokens": count, "cached_input_tokens": 0,
                      "output_tokens": 1, "rolled_up_at": self.at},
        )  # fmt: skip
        if takes_in:
            SettledCall.objects.filter(summed_at=None).update(summed_at=self.at)
        counters.keep(now=self.at)

    def budget(self, terms, changes, _=None):
        """Set a budget in the middle of the month, or change the one that is there."""
        scope, unit, zone, mode, amount = terms
        named = {
            {"model": "registered_model"}.get(kind, kind): self.rows[name]
            for kind, name in scope.items()
        }
        old = Budget.objects.active(self.at).filter(
            unit=unit, **{"cost_center": None, "team": None, "registered_model": None} | named
        )
        if old.exists():
            if not changes:
                return
            old.update(active_to=self.at, ended_by=old.first().set_by, end_reason="Changed.")
        found = put(
            amount,
            unit=unit,
            zone=zone,
            mode=mode,
            now=self.at,
            since=self.at,
            ready=False,
            **named,
        )
        counters.make_ready([counters.Counted.of(found)], self.at)

    def boost(self, place, amount, _):
        mine = self.budgets()
        if mine:
            budget = mine[place % len(mine)]
            Boost.objects.create(
                budget=budget, amount=amount, ends_at=self.at + timedelta(days=5),
                justification="More.", requested_by=budget.set_by, requested_at=self.at,
                status="APPROVED", decided_by=UserFactory(team=None), decided_at=self.at,
            )  # fmt: skip

    def keep(self, *_):
        assert upkeep.keep_counters(now=self.at) == []

    def check(self):
        """The counters are what the pages show, to the last digit."""
        for left in balances(self.budgets(), self.at).values():
            cost_center, team, model = scope_of(left.budget)
            row = Counter.objects.get(
                kind=left.budget.unit, cost_center=cost_center, team=team, model=model,
                starts_at=left.start,
            )  # fmt: skip
            assert row.is_ready
            assert (row.used, row.reserved) == (left.spent + left.settled, left.reserved)
        under_way = Counter.objects.filter(kind=Kind.CALLS)
        assert sum(row.reserved for row in under_way) == len(self.held)


def _limit(left):
    level = LEVELS[next(n for n in (2, 1, 0) if scope_of(left.budget)[n])]
    return Limit(Kind(left.budget.unit), level, left.start, left.limit)


class TestHistories(TestCase):
    @settings(
        max_examples=60,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(budgets, max_size=5), st.lists(steps, max_size=25))
    def test_the_database_decides_as_the_rule_does_and_the_counters_are_what_pages_show(
        self, first, history
    ):
        world = World()
        for terms in first:
            world.budget(terms, False)
        for step in history:
            world.do(step)
            world.check()
