"""What a machine would cost before anybody buys it."""

from decimal import Decimal

import pytest

from apps.accounts.models import Role
from apps.fleet import prices
from apps.fleet.pricing.offers import offers
from tests.factories import UserFactory
from tests.fleet.machines import at
from tests.fleet.pricing.test_book import TYPE, contract, told

pytestmark = pytest.mark.django_db


def offer(kind=TYPE, region="us-east-1", when=None):
    return {each.kind.name: each for each in offers(region, when or at(10))}[kind]


class TestOffers:
    def test_are_the_shipped_list_where_aws_told_nothing(self):
        found = offer()
        assert (found.usd, found.basis) == (Decimal("55.04"), prices.BASIS)
        assert (found.spot_usd, found.spot_basis) == (None, "")
        unlisted = offer("p5e.48xlarge")
        assert (unlisted.usd, unlisted.basis) == (None, "")

    def test_are_what_aws_told_of_the_region_and_of_its_cheapest_zone(self):
        told("50", 1, zone="")
        told("49", 20, zone="")  # later
        told("20", 1, zone="us-east-1a")
        told("18", 1, zone="us-east-1b")
        told("1", 1, zone="eu-west-1a", region="eu-west-1")
        found = offer()
        assert (found.usd, found.basis) == (Decimal("50"), "aws-list")
        assert (found.spot_usd, found.spot_basis) == (Decimal("18"), "aws-spot-history")
        assert offer("p5.4xlarge").spot_usd is None
        assert offer(region="eu-west-1").spot_usd == Decimal("1")

    def test_are_the_contracts_while_it_holds(self):
        fiona = UserFactory(username="fiona", with_roles=[Role.FINANCE])
        told("50", 1, zone="")
        contract(fiona, 5, 15, discount="10", capacity_type="on-demand")
        found = offer()
        assert (found.usd, found.basis) == (Decimal("45"), "contract")
        assert offer(when=at(16)).basis == "aws-list"

    def test_are_told_for_machines_with_gpus_alone(self):
        assert all(each.kind.gpus and each.kind.gpu_mib for each in offers("us-east-1", at(1)))
