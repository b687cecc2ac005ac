"""One turn at the database: what is reserved, settled, given back and extended, and what is not."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.access.holds.models import ALWAYS_FROM, BudgetReservation, Counter, Kind, SettledCall
from apps.gateway.purse.turns import (
    COST_CENTER,
    LEASE,
    MODEL,
    TEAM,
    Limit,
    Settled,
    Turn,
    Wanted,
    Whose,
    quoted,
)
from tests.gateway.purse.worlds import take as take_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 2, 9, 0, 30, tzinfo=UTC)
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
MINE = Whose(NOW, "CC-1", "claims", "summary")
OTHERS = Whose(NOW, "CC-1", "prior", "summary")


def take(turn, now=NOW):
    return take_at(turn, now)


def counter(kind="USD", start=START, end=END, **scope):
    return Counter.objects.create(kind=kind, starts_at=start, ends_at=end, is_ready=True, **scope)


def want(whose=MINE, usd="1", tokens=10, limits=(), minute=10, call=None):
    price = None if usd is None else Decimal(usd)
    return Wanted(call or uuid.uuid4(), whose, price, tokens, minute, limits)


def settled(wanted, usd="0.25", tokens=4, **more):
    return Settled(wanted.id, wanted.whose, Decimal(usd), tokens, **more)


def stand(row):
    row.refresh_from_db()
    return row.reserved, row.used


def limit(level, most, kind=Kind.USD, start=START):
    return Limit(kind, level, start, Decimal(most))


class TestReserve:
    def test_counts_in_every_counter_of_its_scopes_and_windows_and_in_no_other(self):
        mine = [
            counter(cost_center="CC-1"),
            counter(team="claims"),
            counter(team="claims", model="summary"),
            counter(team="claims", start=START + timedelta(hours=5), end=END + timedelta(hours=5)),
        ]
        tokens = counter("TOKENS", team="claims")
        others = [
            counter(cost_center="CC-2"),
            counter(team="prior"),
            counter(team="claims", model="other"),
            counter(team="claims", start=END, end=END + timedelta(days=31)),
            counter("TOKENS", team="prior", model="summary"),
        ]
        found, _ = take(Turn(wanted=[want()]))
        assert found[0].is_held
        assert [stand(row) for row in mine] == [(1, 0)] * 4
        assert stand(tokens) == (10, 0)
        assert [stand(row) for row in others] == [(0, 0)] * 5

    def test_passes_where_exactly_enough_is_left_and_not_where_one_unit_lacks(self):
        row = counter(team="claims")
        exactly = [limit(TEAM, "2")]
        wanted = [want(usd=usd, limits=exactly) for usd in ("1.5", "0.5", "0.0000000000000001")]
        found, _ = take(Turn(wanted=wanted))
        assert [one.is_held for one in found] == [True, True, False]
        assert found[2].short[0].taken == 2
        assert stand(row) == (2, 0)
        assert BudgetReservation.objects.count() == 2

    def test_names_every_limit_that_is_short_and_takes_nothing_of_the_others(self):
        rows = [
            counter(cost_center="CC-1"),
            counter(team="claims"),
            counter("TOKENS", team="claims"),
        ]
        limits = [limit(COST_CENTER, "0.5"), limit(TEAM, "5"), limit(TEAM, 9, Kind.TOKENS)]
        other = want(OTHERS, usd="0.5", limits=[limit(COST_CENTER, "0.5")])
        found, _ = take(Turn(wanted=[want(limits=limits), other]))
        assert [short.limit for short in found[0].short] == [0, 2]
        assert found[1].is_held
        assert [stand(row) for row in rows] == [(Decimal("0.5"), 0), (0, 0), (0, 0)]

    def test_without_a_price_passes_while_anything_is_left(self):
        row = counter(team="claims")
        limits = [limit(TEAM, "1")]
        wanted = [want(usd=None, limits=limits), want(limits=limits), want(usd=None, limits=limits)]
        found, _ = take(Turn(wanted=wanted))
        assert [one.is_held for one in found] == [True, True, False]
        assert stand(row) == (1, 0)

    def test_is_not_decided_by_a_counter_that_is_not_ready_or_not_there(self):
        row = counter(team="claims")
        Counter.objects.filter(pk=row.pk).update(is_ready=False)
        found, _ = take(Turn(wanted=[
            want(limits=[limit(TEAM, "5")]), want(OTHERS, limits=[limit(TEAM, "5")]),
            want(OTHERS),
        ]))  # fmt: skip
        assert [one.is_ready for one in found] == [False, False, True]
        assert stand(row) == (0, 0)
        assert BudgetReservation.objects.count() == 1

    def test_is_refused_where_the_id_is_another_calls(self):
        first, gone = want(), want()
        take(Turn(wanted=[first, gone]))
        take(Turn(settled=[settled(gone)]))
        twice = want()
        found, _ = take(
            Turn(wanted=[want(call=first.id), want(call=gone.id), twice, want(call=twice.id)])
        )
        assert [one.is_double for one in found] == [True, True, False, True]
        assert BudgetReservation.objects.count() == 2

    def test_makes_the_counters_of_its_minute_and_of_calls_under_way(self):
        minute = NOW.replace(second=0)
        a_minute, a_call = (
            Limit(Kind.MINUTE, MODEL, minute, 25),
            Limit(Kind.CALLS, MODEL, ALWAYS_FROM, 3),
        )
        wanted = [want(limits=[a_minute, a_call]) for _ in range(3)]
        later = Whose(NOW + timedelta(seconds=30), "CC-1", "claims", "summary")
        next_minute = Limit(Kind.MINUTE, MODEL, minute + timedelta(minutes=1), 25)
        wanted += [want(later, limits=[next_minute, a_call]) for _ in range(2)]
        found, _ = take(Turn(wanted=wanted))
        assert [one.is_held for one in found] == [True, True, False, True, False]
        assert [[short.limit for short in one.short] for one in found] == [[], [], [0], [], [1]]
        rows = Counter.objects.order_by("kind", "starts_at").values_list("kind", "reserved")
        assert list(rows) == [("CALLS", 3), ("MINUTE", 20), ("MINUTE", 10)]


class TestSettle:
    def test_gives_back_what_was_reserved_and_counts_what_was_used_once(self):
        rows = [counter(team="claims"), counter("TOKENS", cost_center="CC-1")]
        one, other = want(), want()
        take(Turn(wanted=[one, other]))
        take(Turn(settled=[settled(one), settled(one)]))
        take(Turn(settled=[settled(one)]))
        assert [stand(row) for row in rows] == [(1, Decimal("0.25")), (10, 4)]
        assert list(BudgetReservation.objects.values_list("call_id", flat=True)) == [other.id]
        row = SettledCall.objects.get()
        assert (row.call_id, row.usd, row.tokens, row.team, row.occurred_at, row.summed_at) == (
            one.id, Decimal("0.25"), 4, "claims", NOW, None,
        )  # fmt: skip
        kinds = dict(
            Counter.objects.filter(kind__in=("MINUTE", "CALLS")).values_list("kind", "reserved")
        )
        assert kinds == {"MINUTE": 10, "CALLS": 1}
        assert Counter.objects.get(kind="MINUTE").used == 4

    def test_that_does_not_count_only_gives_back(self):
        row, one = counter(team="claims"), want()
        take(Turn(wanted=[one]))
        take(Turn(settled=[settled(one, counts=False)]))
        assert stand(row) == (0, 0)
        assert not SettledCall.objects.exists() and not BudgetReservation.objects.exists()

    def test_counts_in_the_month_in_which_the_call_began(self):
        before, after = (
            counter(team="claims"),
            counter(team="claims", start=END, end=END + timedelta(days=31)),
        )
        whose = Whose(END - timedelta(seconds=1), "CC-1", "claims", "summary")
        one = want(whose)
        take(Turn(wanted=[one]))
        take(Turn(settled=[settled(one)]), now=END + timedelta(minutes=3))
        assert [stand(row) for row in (before, after)] == [(0, Decimal("0.25")), (0, 0)]

    def test_comes_before_what_is_reserved_in_the_same_turn(self):
        row, limits = counter(team="claims"), [limit(TEAM, "1")]
        one, other = want(limits=limits), want(usd="0.75", limits=limits)
        take(Turn(wanted=[one]))
        found, _ = take(Turn(wanted=[other], settled=[settled(one)]))
        assert found[0].is_held
        assert stand(row) == (Decimal("0.75"), Decimal("0.25"))

    def test_counts_after_its_reservation_expired_too(self):
        row, one = counter(team="claims"), want()
        take(Turn(wanted=[one]))
        _, released = take(Turn(given_back=[one.id]), now=NOW + LEASE)
        assert released == [one.id]
        assert stand(row) == (0, 0)
        take(Turn(settled=[settled(one)]), now=NOW + 2 * LEASE)
        assert stand(row) == (0, Decimal("0.25"))


class TestLeases:
    def test_go_on_and_are_given_back_only_where_they_have_ended(self):
        row, one, other = counter(team="claims"), want(), want()
        take(Turn(wanted=[one, other]))
        later = NOW + LEASE / 2
        take(Turn(extended=[one.id]), now=later)
        _, released = take(Turn(given_back=[one.id, other.id]), now=NOW + LEASE)
        assert released == [other.id]
        assert stand(row) == (1, 0)
        assert BudgetReservation.objects.get().expires_at == later + LEASE

    def test_are_never_cut_short_and_a_sum_takes_a_call_once(self):
        one, other = want(), want()
        take(Turn(wanted=[one, other]))
        with pytest.raises(IntegrityError, match="never cut short"), transaction.atomic():
            BudgetReservation.objects.update(expires_at=NOW)
        take(Turn(settled=[settled(one)]))
        SettledCall.objects.update(summed_at=NOW)
        with pytest.raises(IntegrityError, match="once"), transaction.atomic():
            SettledCall.objects.update(summed_at=NOW + LEASE)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
def test_texts_in_an_array_arrive_as_they_are(texts):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[]", [f"{{{','.join(quoted(one) for one in texts)}}}"])
        assert cursor.fetchone() == (texts,)
