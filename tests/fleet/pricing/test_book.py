"""By whose word a machine costs what, and where its price changes."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.fleet import intervals
from apps.fleet.models import Node, NodeInterval
from apps.fleet.pricing.book import PriceBook, book, region_of, with_prices
from apps.fleet.pricing.models import NodePrice, PriceOverride
from tests.factories import UserFactory
from tests.fleet.machines import at, machine

pytestmark = pytest.mark.django_db
TYPE = "p5.48xlarge"


@pytest.fixture
def fiona():
    return UserFactory(username="fiona", with_roles=[Role.FINANCE])


def span(price=None, capacity_type="spot", zone="us-east-1a", basis="", kind=TYPE):
    return NodeInterval(
        instance_type=kind,
        capacity_type=capacity_type,
        zone=zone,
        price_usd_per_hour=price and Decimal(price),
        price_basis=basis,
        started_at=at(0),
        ended_at=at(24),
    )


def told(price, hours, zone="us-east-1a", kind=TYPE, region="us-east-1"):
    source = NodePrice.Source.SPOT if zone else NodePrice.Source.LIST
    return NodePrice.objects.create(
        source=source,
        instance_type=kind,
        region=region,
        zone=zone,
        usd_per_hour=Decimal(price),
        active_from=at(hours),
        learned_at=at(0),
    )


def contract(fiona, begin, end, price=None, discount=None, **more):
    values = {"instance_type": TYPE, "capacity_type": "spot", "region": "us-east-1"} | more
    return PriceOverride.objects.create(
        usd_per_hour=price and Decimal(price),
        discount_percent=discount and Decimal(discount),
        active_from=at(begin),
        active_to=None if end is None else at(end),
        reason="EDP 2026",
        set_by=fiona,
        set_at=at(0),
        **values,
    )


def steps(one, begin=0, end=24):
    """Return (from, to, USD, basis) of an interval."""
    known = book({one.instance_type}, at(begin), at(end))
    return [
        (
            (step.from_at - at(0)) / timedelta(hours=1),
            (step.to_at - at(0)) / timedelta(hours=1),
            step.price.usd_per_hour,
            step.price.basis,
        )
        for step in known.steps(one, at(begin), at(end))
    ]


class TestSteps:
    def test_follow_the_spot_history_of_the_zone(self):
        told(9, -50)
        told(10, -3)
        told(11, 6)
        told(12, 20)
        told(13, 30)
        told(99, 3, zone="us-east-1b")
        told(98, 3, kind="g6.xlarge")
        told(55, -99, zone="")
        assert steps(span()) == [
            (0, 6, 10, "aws-spot-history"),
            (6, 20, 11, "aws-spot-history"),
            (20, 24, 12, "aws-spot-history"),
        ]

    def test_have_no_price_before_the_history_begins(self):
        told(11, 6)
        first, second = steps(span())
        assert first == (0, 6, None, "") and second[2] == 11
        (step, _) = book({TYPE}, at(0), at(24)).steps(span(), at(0), at(24))
        assert step.price.why == (
            "no Spot price of p5.48xlarge in us-east-1a is known for that time"
        )

    def test_follow_the_price_list_of_the_region_on_demand(self):
        told(55, -900, zone="")
        told(50, 12, zone="")
        told(40, 2, zone="", region="eu-west-1")
        told(10, -3)
        assert steps(span(capacity_type="on-demand")) == [
            (0, 12, 55, "aws-list"),
            (12, 24, 50, "aws-list"),
        ]

    def test_take_the_machine_s_own_label_before_aws(self):
        told(10, -3)
        told(55, -900, zone="")
        for capacity_type in ("spot", "on-demand"):
            own = span("7.5", capacity_type, basis="simulated-spot")
            assert steps(own) == [(0, 24, Decimal("7.5"), "simulated-spot")]

    def test_take_a_contract_before_everything_else_while_it_holds(self, fiona):
        contract(fiona, 2, 5, price=3)
        contract(fiona, 10, None, price=4)
        contract(fiona, 0, None, price=1, region="eu-west-1")
        contract(fiona, 0, None, price=1, capacity_type="on-demand")
        contract(fiona, 0, None, price=1, instance_type="g6.xlarge")
        assert steps(span("7.5", basis="label")) == [
            (0, 2, Decimal("7.5"), "label"),
            (2, 5, 3, "contract"),
            (5, 10, Decimal("7.5"), "label"),
            (10, 24, 4, "contract"),
        ]

    def test_take_a_discount_from_the_list_price_of_the_moment(self, fiona):
        told(50, -900, zone="")
        told(40, 12, zone="")
        contract(fiona, 6, None, discount="12.5", capacity_type="on-demand")
        assert steps(span(capacity_type="on-demand")) == [
            (0, 6, 50, "aws-list"),
            (6, 12, Decimal("43.75"), "contract"),
            (12, 24, 35, "contract"),
        ]

    def test_pass_over_a_discount_on_what_nobody_lists(self, fiona):
        contract(fiona, 0, None, discount=10)
        told(10, -3)
        assert steps(span()) == [(0, 24, 10, "aws-spot-history")]

    def test_of_a_free_contract_cost_nothing(self, fiona):
        contract(fiona, 0, None, price="0.0")
        assert steps(span("7")) == [(0, 24, 0, "contract")]

    @pytest.mark.parametrize(
        ("one", "why"),
        [
            (span(kind=""), "nobody saw what kind of machine it was, or where"),
            (span(zone=""), "nobody saw what kind of machine it was, or where"),
            (span(capacity_type="reserved"), "reserved capacity needs a contract"),
            (span(capacity_type=""), "unknown capacity needs a contract"),
            (
                span(capacity_type="on-demand"),
                "no list price of p5.48xlarge in us-east-1 is known for that time",
            ),
        ],
    )
    def test_say_why_there_is_no_price(self, one, why):
        found = PriceBook().price(one, at(0))
        assert (found.usd_per_hour, found.basis, found.why) == (None, "", why)

    def test_of_no_time_are_one(self):
        told(10, -3)
        assert steps(span(), 5, 5) == [(5, 5, 10, "aws-spot-history")]


class TestRegionOf:
    @pytest.mark.parametrize(
        ("zone", "region"),
        [
            ("us-east-1a", "us-east-1"),
            ("us-gov-west-1b", "us-gov-west-1"),
            ("ap-southeast-2c", "ap-southeast-2"),
            ("us-east-1-bos-1a", "us-east-1"),
            ("rack-7", ""),
            ("", ""),
        ],
    )
    def test_is_the_first_part_of_the_zone(self, zone, region):
        assert region_of(zone) == region


class TestBook:
    def test_asks_three_times_and_not_at_all_for_nothing(self, django_assert_num_queries):
        with django_assert_num_queries(3):
            book({TYPE, "g6.xlarge"}, at(0), at(24))
        with django_assert_num_queries(0):
            assert book({""}, at(0), at(24)) == PriceBook()

    def test_leaves_out_contracts_of_other_times(self, fiona):
        contract(fiona, -5, 0, price=1)
        contract(fiona, 24, None, price=1)
        held = contract(fiona, 0, 24, price=1)
        found = book({TYPE}, at(0), at(24)).overrides
        assert [row.pk for rows in found.values() for row in rows] == [held.pk]


class TestParts:
    def test_of_an_interval_are_its_prices_on_every_page(self):
        claim = machine("aws", 1, 9, price=None, zone="us-east-1a")
        NodeInterval.objects.update(zone="us-east-1a")
        told(10, -3)
        told(20, 5)
        cost = intervals.cost_of(claim, at(20))
        assert [(part.from_at, part.to_at, part.usd) for part in cost.parts] == [
            (at(1), at(5), 40),
            (at(5), at(9), 80),
        ]
        assert [part.ended_at for part in cost.parts] == [at(5), at(9)]
        assert (cost.usd, cost.price.usd_per_hour, cost.price.basis) == (
            120,
            20,
            "aws-spot-history",
        )
        parts = intervals.parts_within(at(0), at(24))
        assert sum(part.usd for part in parts) == 120
        head, *rows = intervals.csv_rows(at(0), at(24))
        assert [row[head.index("price_basis")] for row in rows] == ["aws-spot-history"] * 2
        assert [row[head.index("cost_usd")] for row in rows] == ["40.000000", "80.000000"]

    def test_compare_with_the_list_price_of_the_region_where_aws_told_it(self):
        machine("aws", 1, 9, price="8", zone="us-east-1a")
        NodeInterval.objects.update(zone="us-east-1a")
        (part,) = intervals.parts_within(at(0), at(24))
        assert part.listed_usd_per_hour == Decimal("55.04")
        told(60, -9, zone="")
        (part,) = intervals.parts_within(at(0), at(24))
        assert (part.listed_usd_per_hour, part.price.usd_per_hour) == (60, 8)


class TestWithPrices:
    def test_give_each_machine_what_it_costs_now_by_the_same_words_as_its_intervals(self, fiona):
        claims = [
            machine("label", 0, None, price="7", price_basis="label"),
            machine("aws", 0, None, price=None, zone="us-east-1a", instance_type="g6.xlarge"),
            machine("contract", 0, None, price="7", zone="us-east-1a"),
            machine("none", 0, None, price=None, zone="us-east-1a", instance_type="g5.xlarge"),
        ]
        told("0.4", -3, kind="g6.xlarge")
        told("0.5", 4, kind="g6.xlarge")
        contract(fiona, 0, None, price=3)
        found = with_prices(claims, at(5))
        assert [(row.name, row.price_usd_per_hour, row.price_basis) for row in found] == [
            ("label", 7, "label"),
            ("aws", Decimal("0.5"), "aws-spot-history"),
            ("contract", 3, "contract"),
            ("none", None, ""),
        ]

    def test_are_shown_with_the_nodes_and_in_what_is_idle(self, fiona, client):
        Node.objects.create(
            uid="n", name="node-1", created_at=at(0), learned_at=at(0), gpu_count=8,
            zone="us-east-1a", instance_type=TYPE, capacity_type="spot", is_ready=True,
        )  # fmt: skip
        told(10, -3)
        client.force_login(fiona)
        page = client.get(reverse("fleet:node_list"))
        (line,) = page.context["table"].lines
        assert line.row.node.price_usd_per_hour == 10
        assert page.context["figures"].usd_per_hour == 10
        assert page.context["figures"].idle_usd_per_day == 240
