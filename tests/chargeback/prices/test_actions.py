"""Proposing and publishing prices: who, from when, and what is recorded."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import Action
from apps.chargeback.models import DirtyDay, PriceChange, Rate
from apps.chargeback.periods import first_open
from apps.chargeback.prices import actions
from apps.chargeback.queries import prices_at
from apps.chargeback.rating import Prices
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import NotPermitted
from tests.chargeback.pricing import CHEAP, DEAR, WHY, finance, price, propose, publish
from tests.chargeback.test_queries import END, START
from tests.database import as_owner
from tests.factories import RegisteredModelFactory
from tests.trail import AuditAway, trail

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIDDLE = START + 10 * DAY
PRICES = {"INPUT": "0.1", "CACHED_INPUT": "0.01", "OUTPUT": "0.4"}


def rates(model):
    """Return (sku, from, to, price, whether it was replaced) of every rate of a model."""
    rows = Rate.objects.filter(registered_model=model).order_by("active_from", "id")
    return [
        (row.sku, row.active_from, row.active_to, row.unit_price_usd, bool(row.replaced_by_id))
        for row in rows
    ]


def spans(model):
    """Return (from, to, whether it was replaced) of each price list of a model."""
    return list(dict.fromkeys((row[1], row[2], row[4]) for row in rates(model)))


class TestProposePrices:
    def test_stores_and_records_the_old_and_the_new_prices(self, registered_model):
        price(registered_model, CHEAP, START)
        change = propose(registered_model, DEAR, MIDDLE, now=START)
        change.refresh_from_db()
        dear = {"INPUT": "0.2", "CACHED_INPUT": "0.02", "OUTPUT": "0.8"}
        assert (change.prices, change.before) == (dear, change.seen_before.as_text)
        assert (change.proposed, change.seen_before) == (DEAR, CHEAP)
        assert (change.justification, change.registered_model) == (WHY, registered_model)
        assert (change.status, change.requested_by, change.requested_at) == (
            "PENDING",
            finance("proposer"),
            START,
        )
        facts = {
            "model": registered_model.name,
            "active_from": MIDDLE.isoformat(),
            "before": change.before,
            "prices": dear,
            "justification": WHY,
        }
        assert trail(change) == [(Action.PRICE_PROPOSED, "proposer", facts)]
        assert prices_at(registered_model, MIDDLE) == CHEAP

    def test_takes_each_sku_that_there_is(self, registered_model):
        more = Prices(rerank_request=Decimal(2), audio_second=Decimal("0.006"), image=Decimal(0))
        change = propose(registered_model, more, START)
        change.refresh_from_db()
        assert change.prices == {"RERANK_REQUEST": "2", "AUDIO_SECOND": "0.006", "IMAGE": "0"}
        assert (change.proposed, change.before) == (more, {})

    @pytest.mark.parametrize(
        "odd", [{"minutes": 30}, {"seconds": 1}, {"microseconds": 1}, {"hours": 1, "minutes": 1}]
    )
    def test_refuses_a_start_that_is_no_whole_hour(self, registered_model, odd):
        with pytest.raises(actions.BadRate, match="whole hour"):
            propose(registered_model, CHEAP, START + timedelta(**odd), now=START)
        assert not PriceChange.objects.exists()

    def test_refuses_what_begins_before_the_open_period(self, registered_model):
        with pytest.raises(actions.BadRate, match="not before 1 Nov 2026"):
            propose(registered_model, CHEAP, START - HOUR, now=END - HOUR)
        assert propose(registered_model, CHEAP, START, now=END - HOUR)

    @pytest.mark.parametrize("part", ["input", "cached_input", "output", "image"])
    def test_refuses_a_price_below_zero_but_not_zero(self, registered_model, part):
        with pytest.raises(actions.BadRate, match="negative"):
            propose(registered_model, replace(CHEAP, **{part: Decimal("-0.01")}), START)
        assert propose(registered_model, replace(CHEAP, **{part: Decimal(0)}), START)

    def test_refuses_prices_of_nothing(self, registered_model):
        with pytest.raises(actions.BadRate, match="one SKU at least"):
            propose(registered_model, Prices(), START)

    def test_refuses_what_changes_nothing(self, registered_model):
        price(registered_model, CHEAP, START)
        with pytest.raises(actions.BadRate, match="Nothing changes"):
            propose(registered_model, CHEAP, MIDDLE)
        price(registered_model, DEAR, END - DAY)
        assert propose(registered_model, CHEAP, MIDDLE)  # the dearer ones then never come

    def test_lets_a_model_have_one_that_waits_and_each_model_its_own(self, registered_model):
        propose(registered_model, CHEAP, START)
        with pytest.raises(actions.BadRate, match="One at a time"):
            propose(registered_model, DEAR, MIDDLE)
        assert propose(RegisteredModelFactory(), DEAR, MIDDLE)
        assert PriceChange.objects.count() == 2

    def test_is_for_finance(self, registered_model, charlie):
        with pytest.raises(NotPermitted, match="Only finance"):
            actions.propose_prices(
                model=registered_model, prices=CHEAP, active_from=START, justification=WHY,
                requester=charlie, now=START,
            )  # fmt: skip
        assert not PriceChange.objects.exists()

    def test_changes_nothing_that_it_cannot_record(self, registered_model, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            propose(registered_model, CHEAP, START)
        assert not PriceChange.objects.exists()


class TestPublishPrices:
    def test_puts_a_rate_of_each_sku_in_force(self, registered_model):
        other = RegisteredModelFactory()
        price(other, DEAR, START)
        change = price(registered_model, CHEAP, START)
        assert rates(registered_model) == [
            ("INPUT", START, None, Decimal("0.10"), False),
            ("CACHED_INPUT", START, None, Decimal("0.01"), False),
            ("OUTPUT", START, None, Decimal("0.40"), False),
        ]
        assert (change.status, change.decided_by, change.decided_at) == (
            "PUBLISHED",
            finance("publisher"),
            START,
        )
        assert prices_at(other, START) == DEAR

    def test_ends_what_is_in_force_of_the_model_and_of_no_other(self, registered_model):
        other = RegisteredModelFactory()
        for model in (other, registered_model):
            price(model, CHEAP, START)
            price(model, DEAR, MIDDLE)
        price(other, CHEAP, END + 3 * DAY)
        price(registered_model, CHEAP, END)
        assert spans(registered_model) == [
            (START, MIDDLE, False),
            (MIDDLE, END, False),
            (END, None, False),
        ]
        assert spans(other)[1:] == [(MIDDLE, END + 3 * DAY, False), (END + 3 * DAY, None, False)]

    def test_replaces_what_begins_then_or_later(self, registered_model):
        for prices, begins in ((CHEAP, START), (DEAR, MIDDLE), (CHEAP, MIDDLE + DAY)):
            price(registered_model, prices, begins)
        free = Prices(Decimal(0), Decimal(0), Decimal(0))
        publish(propose(registered_model, free, MIDDLE, now=END - DAY), now=END - DAY)
        assert spans(registered_model) == [
            (START, MIDDLE, False),
            (MIDDLE, MIDDLE + DAY, True),
            (MIDDLE, None, False),
            (MIDDLE + DAY, None, True),
        ]
        assert prices_at(registered_model, MIDDLE + 2 * DAY) == free
        publish(propose(registered_model, DEAR, START, now=END - DAY), now=END - DAY)
        assert spans(registered_model)[0] == (START, MIDDLE, True)
        assert {prices_at(registered_model, START + days * DAY) for days in range(30)} == {DEAR}

    def test_ends_earlier_what_was_to_end_later(self, registered_model):
        price(registered_model, CHEAP, START)
        price(registered_model, DEAR, MIDDLE)
        publish(propose(registered_model, DEAR, START + DAY, now=MIDDLE), now=MIDDLE)
        assert spans(registered_model) == [
            (START, START + DAY, False),
            (START + DAY, None, False),
            (MIDDLE, None, True),
        ]

    def test_leaves_without_a_price_what_it_does_not_name(self, registered_model):
        price(registered_model, CHEAP, START)
        only = Prices(input=Decimal(1))
        price(registered_model, only, MIDDLE)
        assert prices_at(registered_model, MIDDLE) == only
        assert prices_at(registered_model, MIDDLE - HOUR) == CHEAP

    def test_records_who_published_what_and_when(self, registered_model):
        price(registered_model, CHEAP, START)
        later = price(registered_model, DEAR, END)
        change = price(registered_model, DEAR, MIDDLE)
        facts = {
            "model": registered_model.name,
            "active_from": MIDDLE.isoformat(),
            "before": PRICES,
            "prices": {"INPUT": "0.2", "CACHED_INPUT": "0.02", "OUTPUT": "0.8"},
            "reason": "Agreed.",
            "proposed_by": "proposer",
            "replaces": [str(later.pk)],
        }
        assert trail(change)[1:] == [(Action.PRICE_PUBLISHED, "publisher", facts)]

    @pytest.mark.parametrize(
        ("since", "days"),
        [
            (3 * DAY, {4, 5, 6, 7}),  # until tomorrow: calls may begin by a clock that is ahead
            (5 * DAY + HOUR, {6, 7}),
            (5 * DAY + 2 * HOUR, set()),
            (9 * DAY, set()),
        ],
    )
    def test_has_what_was_used_already_priced_again(self, registered_model, enqueued, since, days):
        now = START + 5 * DAY + HOUR
        change = propose(registered_model, CHEAP, START + since, now=now)
        assert not DirtyDay.objects.exists()
        with enqueued() as sent:
            publish(change, now=now)
        assert {mark.day.day for mark in DirtyDay.objects.all()} == days
        assert {mark.marked_at for mark in DirtyDay.objects.all()} <= {now}
        assert sent == ([("chargeback.price_due_days", {})] if days else [])

    def test_is_for_somebody_else_of_finance(self, registered_model, charlie):
        change = propose(registered_model, CHEAP, START)
        with pytest.raises(NotOnesOwn, match="another finance person"):
            publish(change, by="proposer")
        with pytest.raises(NotPermitted, match="Only a finance person"):
            actions.publish_prices(change=change, approver=charlie, reason="Mine.", now=START)
        change.refresh_from_db()
        assert (change.status, Rate.objects.count()) == ("PENDING", 0)

    def test_happens_once(self, registered_model):
        change = propose(registered_model, CHEAP, START)
        publish(PriceChange.objects.get(pk=change.pk))
        with pytest.raises(AlreadyDecided, match="published already"):
            publish(change)
        assert Rate.objects.count() == 3

    def test_refuses_what_is_before_the_open_period_by_now(self, registered_model):
        change = propose(registered_model, CHEAP, END - HOUR)
        with pytest.raises(actions.BadRate, match="not before 1 Dec 2026.*anew"):
            publish(change, now=END)
        change.refresh_from_db()
        assert (change.status, Rate.objects.count()) == ("PENDING", 0)

    def test_changes_nothing_that_it_cannot_record(self, registered_model, audit_away):
        price(registered_model, CHEAP, START)
        change = propose(registered_model, DEAR, MIDDLE)
        with audit_away(), pytest.raises(AuditAway):
            publish(change)
        assert spans(registered_model) == [(START, None, False)]


class TestRejectAndWithdraw:
    def test_leave_the_prices_as_they_are_and_the_next_may_come(self, registered_model):
        first, other = propose(registered_model, CHEAP, START), RegisteredModelFactory()
        untouched = propose(other, CHEAP, START)
        rejected = actions.reject_prices(
            change=first, approver=finance("publisher"), reason="Too cheap.", now=MIDDLE
        )
        assert rejected is first
        second = propose(registered_model, DEAR, START)
        assert second is actions.withdraw_prices(
            change=second, actor=finance("proposer"), now=MIDDLE
        )
        untouched.refresh_from_db()
        assert [item.status for item in (first, second, untouched)] == [
            "REJECTED",
            "WITHDRAWN",
            "PENDING",
        ]
        assert (first.decision_reason, first.decided_at) == ("Too cheap.", MIDDLE)
        assert trail(first)[1][:2] == (Action.PRICE_REJECTED, "publisher")
        assert trail(first)[1][2]["reason"] == "Too cheap."
        assert trail(second)[1][:2] == (Action.PRICE_WITHDRAWN, "proposer")
        assert not Rate.objects.exists()

    def test_refuse_the_wrong_people_and_a_second_time(self, registered_model, charlie):
        change = propose(registered_model, CHEAP, START)
        for who in (finance("proposer"), charlie):
            with pytest.raises(NotPermitted):
                actions.reject_prices(change=change, approver=who, reason="No.", now=START)
        for who in (finance("publisher"), charlie):
            with pytest.raises(NotPermitted, match="proposed"):
                actions.withdraw_prices(change=change, actor=who, now=START)
        publish(PriceChange.objects.get(pk=change.pk))
        for order in (
            lambda: actions.withdraw_prices(change=change, actor=finance("proposer"), now=START),
            lambda: actions.reject_prices(
                change=change, approver=finance("publisher"), reason="No.", now=START
            ),
        ):
            with pytest.raises(AlreadyDecided):
                order()
        assert Rate.objects.count() == 3


class TestTheDatabase:
    """What no action does, and nobody else either."""

    @pytest.fixture
    def change(self, registered_model):
        return propose(registered_model, CHEAP, START)

    def refuses(self, match, change):
        with as_owner(), pytest.raises(IntegrityError, match=match), transaction.atomic():
            change()

    def test_takes_no_price_without_its_published_change(self, change, registered_model):
        def make(**more):
            values = {
                "registered_model": registered_model,
                "sku": "INPUT",
                "unit_price_usd": "0.10",
                "active_from": START,
                "change": change,
            }
            Rate.objects.create(**values | more)

        self.refuses("a price needs a published change", make)
        publish(change)
        Rate.objects.filter(change=change).update(active_to=MIDDLE)
        for odd in (
            {"unit_price_usd": 0},
            {"sku": "IMAGE"},
            {"active_from": MIDDLE},
            {"registered_model": RegisteredModelFactory()},
        ):
            self.refuses("a price needs a published change", lambda odd=odd: make(**odd))

    def test_lets_nobody_publish_their_own(self, change):
        rows = PriceChange.objects.filter(pk=change.pk)
        publish_as = {"status": "PUBLISHED", "decided_at": START}
        mine = publish_as | {"decided_by": change.requested_by}
        self.refuses("not_decided_by_requester", lambda: rows.update(**mine))
        self.refuses("decided_by_somebody", lambda: rows.update(**publish_as))
        other = finance("publisher")
        swapped = {"requested_by": other} | mine
        self.refuses("what was proposed never changes", lambda: rows.update(**swapped))

    def test_lets_no_change_begin_published(self, registered_model):
        def begin(status):
            PriceChange.objects.create(
                registered_model=registered_model, prices=PRICES, active_from=START,
                justification=WHY, requested_by=finance("proposer"), requested_at=START,
                status=status, decided_by=finance("publisher"), decided_at=START,
            )  # fmt: skip

        for status in ("PUBLISHED", "SET"):
            self.refuses("waits for a decision first", lambda status=status: begin(status))

    def test_lets_no_change_become_set_by_one_person(self, change):
        rows = PriceChange.objects.filter(pk=change.pk)
        self.refuses(
            "PENDING never becomes SET", lambda: rows.update(status="SET", decided_at=START)
        )

    def test_keeps_what_was_decided_and_what_was_replaced(self, change, registered_model):
        publish(change)
        rows = PriceChange.objects.filter(pk=change.pk)
        self.refuses("never changes", lambda: rows.update(decision_reason="Other"))
        self.refuses("never changes", lambda: rows.update(status="REJECTED"))
        publish(propose(registered_model, DEAR, START))
        replaced = Rate.objects.filter(change=change)
        self.refuses("was replaced never changes", lambda: replaced.update(replaced_by=None))

    def test_moves_an_end_to_an_earlier_hour_only(self, change):
        publish(change)
        rows = Rate.objects.filter(change=change)
        rows.update(active_to=MIDDLE)
        rows.update(active_to=MIDDLE - HOUR)
        for later in (MIDDLE, None):
            self.refuses("never goes on", lambda later=later: rows.update(active_to=later))


class TestFirstOpen:
    def test_is_the_start_of_the_month_in_utc(self):
        assert first_open(START) == first_open(END - HOUR) == START
        assert first_open(END) == END
