"""What AWS is asked for follows from the machines that there are; what it tells is kept."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.fleet.models import NodeInterval
from apps.fleet.pricing.models import NodePrice, PriceFeed
from apps.fleet.pricing.reconcile import fetch_prices
from apps.integrations.aws.types import ListPrice, SpotPrice
from apps.integrations.errors import PermanentError, TemporaryError
from tests.fleet.machines import at, machine

pytestmark = pytest.mark.django_db


class Aws:
    """Answers as the client does, and keeps what it was asked for."""

    def __init__(self):
        self.asked = []
        self.listed = {}
        self.spot = []
        self.error = None

    def list_price(self, instance_type, region):
        self.asked.append(("LIST", instance_type, region))
        price = self.listed.get((instance_type, region))
        return price and ListPrice(instance_type, region, Decimal(price), at(-1000))

    def spot_history(self, instance_types, region, *, since, until):
        self.asked.append(("SPOT", tuple(instance_types), region, since, until))
        if self.error:
            raise self.error
        return [price for price in self.spot if price.zone.startswith(region)]


@pytest.fixture
def aws():
    return Aws()


def place(name, kind, zone, capacity_type, begin=0, end=5):
    machine(name, begin, end, instance_type=kind, capacity_type=capacity_type, price=None)
    NodeInterval.objects.filter(node_claim__name=name).update(zone=zone)


@pytest.fixture
def fleet():
    place("a", "g6.xlarge", "us-east-1a", "spot")
    place("b", "g6.xlarge", "us-east-1b", "on-demand")
    place("c", "p5.48xlarge", "us-east-1a", "spot")
    place("d", "p5.48xlarge", "eu-west-1a", "on-demand")
    place("here", "g6.xlarge", "rack-1", "spot")
    place("old", "g5.xlarge", "us-east-1a", "spot", -24 * 100, -24 * 95)
    place("dark", "", "us-east-1a", "spot")


def prices():
    found = NodePrice.objects.order_by("source", "region", "instance_type", "zone")
    return [
        (row.source, row.instance_type, row.zone or row.region, row.usd_per_hour) for row in found
    ]


@pytest.mark.usefixtures("fleet")
class TestFetchPrices:
    def test_asks_by_region_for_what_there_is(self, aws):
        aws.listed = {("g6.xlarge", "us-east-1"): "0.8", ("p5.48xlarge", "us-east-1"): "55",
                      ("p5.48xlarge", "eu-west-1"): "66"}  # fmt: skip
        aws.spot = [SpotPrice("g6.xlarge", "us-east-1a", Decimal("0.4"), at(-3)),
                    SpotPrice("p5.48xlarge", "us-east-1a", Decimal(20), at(1))]  # fmt: skip
        assert fetch_prices(aws=aws, now=at(10)) == 5
        assert aws.asked == [
            ("LIST", "g6.xlarge", "us-east-1"),
            ("LIST", "p5.48xlarge", "eu-west-1"),
            ("LIST", "p5.48xlarge", "us-east-1"),
            ("SPOT", ("g6.xlarge", "p5.48xlarge"), "us-east-1", at(10 - 90 * 24), at(10)),
        ]
        assert prices() == [
            ("LIST", "p5.48xlarge", "eu-west-1", 66),
            ("LIST", "g6.xlarge", "us-east-1", Decimal("0.8")),
            ("LIST", "p5.48xlarge", "us-east-1", 55),
            ("SPOT", "g6.xlarge", "us-east-1a", Decimal("0.4")),
            ("SPOT", "p5.48xlarge", "us-east-1a", 20),
        ]
        assert set(PriceFeed.objects.values_list("error", flat=True)) == {""}

    def test_does_nothing_twice_and_asks_again_when_it_is_due(self, aws):
        aws.listed = dict.fromkeys(
            [
                ("g6.xlarge", "us-east-1"),
                ("p5.48xlarge", "us-east-1"),
                ("p5.48xlarge", "eu-west-1"),
            ],
            "1",
        )
        aws.spot = [
            SpotPrice(kind, "us-east-1a", Decimal(1), at(1))
            for kind in ("g6.xlarge", "p5.48xlarge")
        ]
        fetch_prices(aws=aws, now=at(10))
        aws.asked.clear()
        before = prices()
        assert fetch_prices(aws=aws, now=at(10) + timedelta(minutes=29)) == 0
        assert aws.asked == []
        assert fetch_prices(aws=aws, now=at(10.5)) == 0
        # from three hours before the end of the last answer
        assert aws.asked == [("SPOT", ("g6.xlarge", "p5.48xlarge"), "us-east-1", at(7), at(10.5))]
        assert prices() == before
        aws.asked.clear()
        fetch_prices(aws=aws, now=at(34))
        assert [each[0] for each in aws.asked] == ["LIST", "LIST", "LIST", "SPOT"]

    def test_reads_all_of_the_history_for_a_type_that_is_new(self, aws):
        aws.spot = [
            SpotPrice(kind, "us-east-1a", Decimal(1), at(1))
            for kind in ("g6.xlarge", "p5.48xlarge")
        ]
        fetch_prices(aws=aws, now=at(10))
        place("new", "g6e.xlarge", "us-east-1a", "spot")
        aws.asked.clear()
        fetch_prices(aws=aws, now=at(11))
        assert aws.asked[-1][3] == at(11 - 90 * 24)

    def test_keeps_why_a_feed_fails_and_goes_on_with_the_others(self, aws):
        aws.listed = {("p5.48xlarge", "eu-west-1"): "66"}
        aws.error = TemporaryError("AWS is busy: 503.")
        assert fetch_prices(aws=aws, now=at(10)) == 1
        feeds = {feed.name: (feed.error, feed.told_until) for feed in PriceFeed.objects.all()}
        assert feeds == {
            "LIST g6.xlarge us-east-1": ("AWS does not list g6.xlarge in us-east-1.", None),
            "LIST p5.48xlarge us-east-1": ("AWS does not list p5.48xlarge in us-east-1.", None),
            "LIST p5.48xlarge eu-west-1": ("", at(10)),
            "SPOT us-east-1": ("AWS is busy: 503.", None),
        }
        aws.asked.clear()
        aws.error = PermanentError("AWS refused.")
        fetch_prices(aws=aws, now=at(10) + timedelta(minutes=10))
        assert len(aws.asked) == 3
        assert PriceFeed.objects.get(name="SPOT us-east-1").error == "AWS refused."

    def test_asks_nothing_where_no_machine_is_in_aws(self, aws):
        NodeInterval.objects.update(zone="rack-1")
        assert fetch_prices(aws=aws, now=at(10)) == 0
        assert aws.asked == []

    def test_does_nothing_where_aws_is_not_to_be_asked(self):
        assert fetch_prices(aws=None, now=at(10)) == 0
        assert not PriceFeed.objects.exists()
