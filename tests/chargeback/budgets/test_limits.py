"""What is left of budgets, and whether a call may go on: all of it without a database."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.access.budgets.models import Boost, Budget
from apps.accounts.models import CostCenter, Team
from apps.catalog.models import RegisteredModel
from apps.chargeback.budgets import limits
from apps.chargeback.budgets.limits import Amount, Use, Verdict

AT = datetime(2026, 11, 18, 12, tzinfo=UTC)
CLAIMS, SUMMARY = Team(slug="claims"), RegisteredModel(name="summary")
PAYER = CostCenter(code="CC-1")


def budget(amount=100, unit="USD", mode="HARD", zone="UTC", thresholds=(80, 100), **scope):
    return Budget(
        unit=unit,
        amount=Decimal(amount),
        mode=mode,
        zone=zone,
        thresholds=list(thresholds),
        **scope or {"team": CLAIMS},
    )


def use(usd, tokens=1000, team="claims", model="summary", cost_center="CC-1", unpriced=0):
    return Use(cost_center, team, model, Decimal(usd), tokens, unpriced)


def left(of, spent=(), reserved=(), settled=(), boosts=(), at=AT):
    parts = {"spent": spent, "reserved": reserved, "settled": settled}
    sums = {name: limits.add_up(uses) for name, uses in parts.items()}
    return limits.balance(of, boosts=boosts, at=at, **sums)


class TestAddUp:
    def test_counts_a_use_for_its_payer_its_team_and_its_team_and_model(self):
        sums = limits.add_up(
            [
                use(1, 10),
                use(2, 20, model="extract"),
                use(4, 40, team="prior"),
                use(8, 80, cost_center="CC-2", unpriced=3),
            ]
        )
        assert sums == {
            ("CC-1", "", ""): Amount(Decimal(7), 70, 0),
            ("CC-2", "", ""): Amount(Decimal(8), 80, 3),
            ("", "claims", ""): Amount(Decimal(11), 110, 3),
            ("", "claims", "summary"): Amount(Decimal(9), 90, 3),
            ("", "claims", "extract"): Amount(Decimal(2), 20, 0),
            ("", "prior", ""): Amount(Decimal(4), 40, 0),
            ("", "prior", "summary"): Amount(Decimal(4), 40, 0),
        }

    def test_leaves_out_names_that_nobody_told(self):
        assert limits.add_up([use(1, team="", cost_center="")]) == {}
        assert set(limits.add_up([use(1, model="")])) == {("CC-1", "", ""), ("", "claims", "")}


class TestBalance:
    def test_is_the_limit_without_what_is_spent_held_and_settled(self):
        found = left(
            budget(team=CLAIMS, registered_model=SUMMARY),
            spent=[use(10), use(20, model="extract"), use(40, team="prior")],
            reserved=[use(5), use("0.5")],
            settled=[use(3), use(7, model="extract")],
        )
        parts = (found.limit, found.spent, found.reserved, found.settled)
        assert parts == (100, 10, Decimal("5.5"), 3)
        assert (found.used, found.available) == (Decimal("18.5"), Decimal("81.5"))
        assert (found.percent, found.reached()) == (18, ())

    @pytest.mark.parametrize(
        ("scope", "spent"),
        [
            ({"team": CLAIMS, "registered_model": SUMMARY}, 1),
            ({"team": CLAIMS}, 3),
            ({"cost_center": PAYER}, 7),
        ],
    )
    def test_counts_what_is_of_its_scope(self, scope, spent):
        uses = [
            use(1),
            use(2, model="extract"),
            use(4, team="prior"),
            use(8, team="x", cost_center="CC-2"),
        ]
        assert left(budget(**scope), spent=uses).spent == spent

    def test_counts_tokens_where_it_is_of_tokens(self):
        found = left(budget(5000, "TOKENS"), spent=[use(10, 3000)], reserved=[use(0, 500)])
        assert (found.spent, found.reserved, found.available) == (3000, 500, 1500)

    def test_may_be_less_than_nothing(self):
        found = left(budget(), spent=[use(130)])
        assert (found.available, found.percent, found.reached()) == (-30, 130, (80, 100))

    def test_has_the_boosts_that_are_in_force_and_its_own(self):
        mine, other = budget(), budget(team=Team(slug="prior"))
        assert mine.series != other.series
        changed = budget()
        changed.series = mine.series
        boosts = [
            Boost(budget=of, amount=Decimal(amount), decided_at=start, ends_at=end)
            for of, amount, start, end in (
                (changed, 1, AT, AT + timedelta(days=1)),
                (mine, 2, AT - timedelta(days=1), AT),
                (mine, 4, AT + timedelta(seconds=1), AT + timedelta(days=1)),
                (other, 8, AT, AT + timedelta(days=1)),
                (mine, 16, None, AT + timedelta(days=1)),
            )
        ]
        found = left(mine, boosts=boosts)
        assert (found.limit, found.boosted, found.available) == (101, 1, 101)

    @pytest.mark.parametrize(
        ("zone", "at", "start", "end"),
        [
            ("UTC", AT, datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
            (
                "America/New_York",
                datetime(2026, 12, 1, 4, 59, tzinfo=UTC),
                datetime(2026, 11, 1, 4, tzinfo=UTC),
                datetime(2026, 12, 1, 5, tzinfo=UTC),
            ),
            (
                "America/New_York",
                datetime(2027, 2, 28, 23, tzinfo=UTC),
                datetime(2027, 2, 1, 5, tzinfo=UTC),
                datetime(2027, 3, 1, 5, tzinfo=UTC),
            ),
        ],
    )
    def test_is_of_the_month_of_its_zone(self, zone, at, start, end):
        found = left(budget(zone=zone), at=at)
        assert (found.start, found.end) == (start, end)

    def test_tells_of_tokens_without_a_price_and_counts_them_not(self):
        found = left(budget(), spent=[use(1, 50, unpriced=40)], reserved=[use(0, 7, unpriced=7)])
        assert (found.used, found.unpriced_tokens) == (1, 47)

    @pytest.mark.parametrize(
        ("spent", "reached"), [("49.99", ()), (50, (50,)), ("99.99", (50,)), (100, (50, 100))]
    )
    def test_reaches_a_threshold_with_its_last_cent(self, spent, reached):
        assert left(budget(thresholds=(50, 100)), spent=[use(spent)]).reached() == reached


def judged(*balances, usd=5, tokens=10):
    return limits.decide(balances, usd=None if usd is None else Decimal(usd), tokens=tokens)


class TestDecide:
    def test_lets_pass_what_every_budget_has_room_for_to_the_last_cent(self):
        found = judged(left(budget(), spent=[use(10)]), left(budget(10, "TOKENS")), usd=5)
        assert found.verdict == Verdict.WARN  # all tokens of a budget are reached with it
        assert [reached for _, reached in found.warned] == [(80, 100)]
        assert judged(left(budget()), left(budget(100, "TOKENS"))).verdict == Verdict.PASS
        assert judged(left(budget(thresholds=(100,))), usd=100).refused_by == ()

    def test_refuses_where_one_has_too_little_and_says_which(self):
        payer = left(budget(100, cost_center=PAYER), spent=[use(98)])
        team = left(budget(100))
        found = judged(team, payer)
        assert (found.verdict, found.refused_by) == (Verdict.REFUSE, (payer,))
        tokens = left(budget(9, "TOKENS"))
        assert judged(team, tokens).refused_by == (tokens,)
        assert judged(team, tokens, tokens=9).refused_by == ()

    def test_counts_what_is_held_and_settled(self):
        for part in ("spent", "reserved", "settled"):
            found = judged(left(budget(), **{part: [use("95.01")]}))
            assert found.verdict == Verdict.REFUSE
            assert judged(left(budget(), **{part: [use(95)]})).verdict == Verdict.WARN

    @pytest.mark.parametrize("mode", ["WARN", "SOFT"])
    def test_only_warns_where_the_budget_does(self, mode):
        spent = left(budget(mode=mode), spent=[use(200)])
        found = judged(spent)
        assert (found.verdict, found.refused_by) == (Verdict.WARN, ())
        assert found.warned == ((spent, (80, 100)),)
        assert judged(left(budget(mode=mode))).verdict == Verdict.PASS

    def test_tells_the_thresholds_that_the_call_itself_reaches(self):
        near = left(budget(thresholds=(80, 85, 100)), spent=[use(79)])
        assert judged(near, usd="0.99").warned == ()
        assert judged(near, usd=1).warned == ((near, (80,)),)
        assert judged(near, usd=6).warned == ((near, (80, 85)),)

    def test_does_not_take_no_price_for_nothing(self):
        some, nothing = left(budget(), spent=[use(50)]), left(budget(), spent=[use(100)])
        tokens = left(budget(5, "TOKENS"))
        found = judged(some, usd=None)
        assert (found.verdict, found.unknown) == (Verdict.PASS, (some,))
        assert judged(nothing, usd=None).refused_by == (nothing,)
        cent = left(budget(), spent=[use("99.99")])
        assert judged(cent, usd=None).refused_by == ()
        near = left(budget(thresholds=(80,)), spent=[use("79.5")])
        assert judged(near, usd=None).warned == ()
        assert judged(some, tokens, usd=None).refused_by == (tokens,)

    def test_names_first_what_begins_anew_last(self):
        soon = left(budget(zone="UTC"), spent=[use(100)])
        later = left(budget(zone="America/Los_Angeles"), spent=[use(100)])
        assert judged(soon, later).refused_by == (later, soon)

    def test_lets_pass_what_counts_against_no_budget(self):
        assert judged().verdict == Verdict.PASS


def test_a_budget_has_a_series_of_its_own():
    assert isinstance(budget().series, uuid.UUID)
