"""The page of machine prices."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.common import periods
from apps.fleet.pricing.models import PriceFeed, PriceOverride
from tests.factories import UserFactory
from tests.fleet.pricing.test_actions import P5, put

pytestmark = pytest.mark.django_db
TODAY = periods.day_of(timezone.now())
TYPED = {
    "instance_type": "p5.48xlarge",
    "capacity_type": "on-demand",
    "region": "us-east-1",
    "usd_per_hour": "31.5",
    "discount_percent": "",
    "first_day": "2026-11-01",
    "last_day": "2026-11-30",
    "reason": "EDP 2026",
}
LIST, END = reverse("fleet:price_list"), reverse("fleet:price_end")


@pytest.fixture
def fiona():
    return UserFactory(username="fiona", name="Fiona", with_roles=[Role.FINANCE])


@pytest.fixture
def page(client, fiona):
    client.force_login(fiona)
    return client


class TestPriceList:
    def test_lists_contracts_with_their_dates_and_what_aws_tells(self, page, fiona):
        put(fiona, begin=0, end=24)
        put(fiona, begin=24 * 20000, end=None)
        later = type(P5)("g6.xlarge", "spot", "eu-west-1", discount_percent=Decimal("12.50"))
        put(fiona, later, begin=-48, end=None)
        PriceFeed.objects.create(name="LIST g6.xlarge us-east-1", tried_at=timezone.now(),
                                 error="AWS is busy: 503.")  # fmt: skip
        PriceFeed.objects.create(name="SPOT us-east-1", tried_at=timezone.now(),
                                 told_until=timezone.now())  # fmt: skip
        answer = page.get(LIST)
        rows = {
            (line.cells[0].value, line.cells[0].sub): [cell.value for cell in line.cells[1:5]]
            for line in answer.context["table"].lines
        }
        found = {key: [*values[:3], values[3].words] for key, values in rows.items()}
        assert found["g6.xlarge", "Spot · eu-west-1"] == [
            "12.5% off the list price", "31 Oct 2026", None, "In force",
        ]  # fmt: skip
        lines = [[*[cell.value for cell in line.cells[1:4]], line.cells[4].value.words]
                 for line in answer.context["table"].lines]  # fmt: skip
        assert ["$31.50 an hour", "2 Nov 2026", "2 Nov 2026", "Ended"] in lines
        assert sum(line[3] == "Planned" for line in lines) == 1
        feeds = [(line.cells[0].value, line.cells[1].value.words, line.cells[4].value)
                 for line in answer.context["feeds"].lines]  # fmt: skip
        assert feeds == [
            ("Price list of g6.xlarge in us-east-1", "Failed", "AWS is busy: 503."),
            ("Spot prices in us-east-1", "Told", ""),
        ]

    def test_lets_finance_set_a_price_for_whole_days(self, page, fiona):
        answer = page.post(LIST, TYPED)
        assert (answer.status_code, answer["Location"]) == (302, LIST)
        row = PriceOverride.objects.get()
        assert (row.active_from.isoformat(), row.active_to.isoformat()) == (
            "2026-11-01T00:00:00+00:00",
            "2026-12-01T00:00:00+00:00",
        )
        assert (row.usd_per_hour, row.discount_percent, row.set_by) == (
            Decimal("31.5"),
            None,
            fiona,
        )
        assert AuditEvent.objects.get().action == Action.MACHINE_PRICE_SET
        said = page.get(LIST).content.decode()
        assert "p5.48xlarge (on demand) in us-east-1 costs $31.50 an hour by contract." in said

    def test_says_everything_that_is_wrong(self, page):
        wrong = {"instance_type": "", "usd_per_hour": "-1", "discount_percent": "101",
                 "first_day": "soon", "reason": ""}  # fmt: skip
        answer = page.post(LIST, TYPED | wrong)
        assert answer.status_code == 422
        assert set(answer.context["form"].errors) == set(wrong)
        answer = page.post(LIST, TYPED | {"discount_percent": "5"})
        assert answer.status_code == 422
        assert "one of the two" in answer.content.decode()
        assert not PriceOverride.objects.exists()

    def test_is_shown_to_those_who_see_the_fleet_and_set_by_finance(self, client):
        client.force_login(UserFactory(with_roles=[Role.AUDITOR]))
        assert "Set a contract" not in client.get(LIST).content.decode()
        assert client.post(LIST, TYPED).status_code == 403
        client.force_login(UserFactory(with_roles=[Role.TEAM_LEAD]))
        assert client.get(LIST).status_code == client.post(LIST, TYPED).status_code == 404
        assert not PriceOverride.objects.exists()

    def test_gives_each_table_as_csv(self, page, fiona):
        put(fiona)
        PriceFeed.objects.create(name="SPOT us-east-1", tried_at=timezone.now())
        contracts = b"".join(page.get(LIST, {"format": "csv"})).decode()
        feeds = b"".join(page.get(LIST, {"feeds-format": "csv"})).decode()
        assert "p5.48xlarge" in contracts and "SPOT us-east-1" in feeds


class TestPriceEnd:
    def test_ends_a_contract_with_a_day(self, page, fiona):
        row = put(fiona, begin=0, end=None)
        other = put(fiona, type(P5)("g6.xlarge", "spot", "us-east-1", Decimal(1)), end=None)
        answer = page.post(END, {"contract": row.pk, "end_day": "2026-11-05"})
        assert answer.status_code == 302
        row.refresh_from_db()
        other.refresh_from_db()
        assert row.active_to == periods.end_of_day(periods.day_of(row.active_from) + timedelta(3))
        assert other.active_to is None

    def test_says_what_cannot_be(self, page, fiona):
        ended = put(fiona)
        going_on = put(fiona, begin=24, end=None)
        for typed in ({"contract": ended.pk, "end_day": str(TODAY)},
                      {"contract": going_on.pk, "end_day": "2026-01-01"},
                      {"contract": going_on.pk, "end_day": ""}):  # fmt: skip
            answer = page.post(END, typed)
            assert answer.status_code == 422 and answer.context["ending"].errors
        going_on.refresh_from_db()
        assert going_on.active_to is None

    def test_is_finance_s(self, client, fiona):
        row = put(fiona, end=None)
        client.force_login(UserFactory(with_roles=[Role.PLATFORM_ENGINEER]))
        assert client.post(END, {"contract": row.pk, "end_day": str(TODAY)}).status_code == 403
        client.force_login(UserFactory(with_roles=[Role.DEVELOPER]))
        assert client.post(END, {"contract": row.pk, "end_day": str(TODAY)}).status_code == 404
        row.refresh_from_db()
        assert row.active_to is None
