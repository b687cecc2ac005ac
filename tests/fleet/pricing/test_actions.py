"""What AWS tells is kept once; a contract is somebody's word, and recorded."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.common.errors import NotPermitted
from apps.fleet.pricing import actions
from apps.fleet.pricing.actions import BadOverride, Terms, Told
from apps.fleet.pricing.models import NodePrice, PriceFeed, PriceOverride
from tests.database import as_owner
from tests.factories import UserFactory
from tests.fleet.machines import at

pytestmark = pytest.mark.django_db
P5 = Terms("p5.48xlarge", "on-demand", "us-east-1", usd_per_hour=Decimal("31.5"))


@pytest.fixture
def fiona():
    return UserFactory(username="fiona", with_roles=[Role.FINANCE])


def put(actor, terms=P5, begin=0, end=24, reason="EDP 2026, appendix B"):
    return actions.set_price_override(
        terms=terms,
        active_from=at(begin),
        active_to=None if end is None else at(end),
        reason=reason,
        actor=actor,
        now=at(9),
    )


def trail():
    return list(AuditEvent.objects.order_by("pk").values_list("action", "data"))


class TestSetPriceOverride:
    def test_keeps_and_records_what_a_contract_says(self, fiona):
        row = put(fiona)
        assert (row.usd_per_hour, row.discount_percent) == (Decimal("31.5"), None)
        assert (row.active_from, row.active_to, row.set_by, row.set_at) == (
            at(0),
            at(24),
            fiona,
            at(9),
        )
        assert trail() == [
            (
                Action.MACHINE_PRICE_SET,
                {
                    "instance_type": "p5.48xlarge",
                    "capacity_type": "on-demand",
                    "region": "us-east-1",
                    "usd_per_hour": "31.5",
                    "discount_percent": None,
                    "active_from": at(0).isoformat(),
                    "active_to": at(24).isoformat(),
                    "reason": "EDP 2026, appendix B",
                },
            )
        ]

    def test_takes_a_discount_instead(self, fiona):
        terms = Terms("g6.xlarge", "spot", "eu-west-1", discount_percent=Decimal("12.5"))
        assert put(fiona, terms, end=None).discount_percent == Decimal("12.5")
        assert trail()[0][1]["discount_percent"] == "12.5"

    def test_allows_one_contract_of_a_machine_at_a_time(self, fiona):
        put(fiona)
        put(fiona, begin=24, end=48)
        put(fiona, Terms("p5.48xlarge", "spot", "us-east-1", usd_per_hour=Decimal(9)))
        put(fiona, Terms("p5.48xlarge", "on-demand", "us-west-2", usd_per_hour=Decimal(9)))
        with pytest.raises(BadOverride, match="Another contract"):
            put(fiona, begin=47, end=None)
        assert PriceOverride.objects.count() == len(trail()) == 4

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"terms": Terms("", "spot", "r", usd_per_hour=Decimal(1))}, "which machine"),
            ({"terms": Terms("a", "spot", "r")}, "one of the two"),
            ({"terms": Terms("a", "spot", "r", Decimal(1), Decimal(1))}, "one of the two"),
            ({"terms": Terms("a", "spot", "r", Decimal(-1))}, "negative"),
            ({"terms": Terms("a", "spot", "r", None, Decimal(0))}, "above 0"),
            ({"terms": Terms("a", "spot", "r", None, Decimal("100.01"))}, "at most 100"),
            ({"begin": 5, "end": 5}, "after it begins"),
            ({"reason": "  "}, "which contract"),
        ],
    )
    def test_refuses_what_cannot_be(self, fiona, change, words):
        with pytest.raises(BadOverride, match=words):
            put(fiona, **change)
        assert not PriceOverride.objects.exists() and not trail()

    def test_is_finance_s(self):
        with pytest.raises(NotPermitted):
            put(UserFactory(with_roles=[Role.PLATFORM_ENGINEER]))
        assert not PriceOverride.objects.exists()


class TestEndPriceOverride:
    def end(self, row, hours, actor):
        return actions.end_price_override(
            override=row, active_to=at(hours), actor=actor, now=at(10)
        )

    def test_lets_it_end_earlier_and_records_it(self, fiona):
        other, row = put(fiona, begin=48, end=None), put(fiona)
        assert self.end(row, 12, fiona).active_to == at(12)
        row.refresh_from_db()
        other.refresh_from_db()
        assert (row.active_to, other.active_to) == (at(12), None)
        assert trail()[-1][0] == Action.MACHINE_PRICE_ENDED
        assert trail()[-1][1]["active_to"] == at(12).isoformat()
        self.end(other, 72, fiona)

    @pytest.mark.parametrize("hours", [0, -1, 24, 25])
    def test_never_later_nor_before_it_began(self, fiona, hours):
        row = put(fiona)
        with pytest.raises(BadOverride):
            self.end(row, hours, fiona)
        with pytest.raises(NotPermitted):
            self.end(row, 12, UserFactory(with_roles=[Role.AUDITOR]))
        row.refresh_from_db()
        assert row.active_to == at(24) and len(trail()) == 1

    def test_is_held_by_the_database(self, fiona):
        row = put(fiona)
        for late in (at(25), None):
            with pytest.raises(IntegrityError, match="never ends later"), transaction.atomic():
                PriceOverride.objects.filter(pk=row.pk).update(active_to=late)
        with pytest.raises(IntegrityError), transaction.atomic(), as_owner():
            PriceOverride.objects.filter(pk=row.pk).update(usd_per_hour=1, discount_percent=1)


class TestRecordPrices:
    def told(self, price, hours, zone="us-east-1a"):
        source = NodePrice.Source.SPOT if zone else NodePrice.Source.LIST
        return Told(source, "g6.xlarge", "us-east-1", zone, Decimal(price), at(hours))

    def record(self, *told, until=24, error="", feed="SPOT us-east-1"):
        return actions.record_prices(
            feed=feed,
            told=told,
            told_until=None if until is None else at(until),
            error=error,
            now=at(30),
        )

    def test_keeps_each_price_once(self):
        first = (self.told(1, 0), self.told(2, 5), self.told(3, 0, zone="us-east-1b"))
        assert self.record(*first) == 3
        assert self.record(*first, self.told(4, 6), self.told(5, 0, zone="")) == 2
        # a price that is told otherwise the second time stays as it was
        assert self.record(self.told(9, 0)) == 0
        prices = NodePrice.objects.order_by("active_from", "zone")
        assert [price.usd_per_hour for price in prices] == [5, 1, 3, 2, 4]
        assert {price.learned_at for price in prices} == {at(30)}

    def test_keeps_how_far_a_feed_got_when_it_fails(self):
        self.record(until=24)
        self.record(until=None, error="AWS is busy: 503.")
        feed = PriceFeed.objects.get(name="SPOT us-east-1")
        assert (feed.told_until, feed.error, feed.tried_at) == (
            at(24),
            "AWS is busy: 503.",
            at(30),
        )
        self.record(until=25)
        feed.refresh_from_db()
        assert (feed.told_until, feed.error) == (at(25), "")

    def test_are_refused_by_the_database_where_they_cannot_be(self):
        for wrong in ({"usd_per_hour": Decimal(0)}, {"zone": ""}):
            values = {"zone": "ra", "usd_per_hour": Decimal(1)} | wrong
            with pytest.raises(IntegrityError), transaction.atomic():
                NodePrice.objects.create(
                    source="SPOT",
                    instance_type="a",
                    region="r",
                    active_from=at(0),
                    learned_at=at(0),
                    **values,
                )
