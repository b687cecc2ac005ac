"""The page of trends."""

from decimal import Decimal

import pytest
from django.urls import reverse

from apps.chargeback.actions import allocate_day
from apps.chargeback.method import FACTS
from tests.chargeback.november import machines_of_november
from tests.fleet.machines import at, machine
from tests.pages import joined

URL = "chargeback:trends"
WHOLE = ["hours-by-team", "per-million", "use-by-work", "idle-money", "savings", "losses",
         "loss-events"]  # fmt: skip


def get(client, **asked):
    return client.get(reverse(URL), {"month": "2026-11"} | asked)


@pytest.fixture(autouse=True)
def machines(november):
    machines_of_november()


class TestTrends:
    def test_are_of_days_or_of_months(self, client, fiona, django_assert_num_queries):
        client.force_login(fiona)
        for asked, places in (({}, 30), ({"by": "month"}, 13)):
            with django_assert_num_queries(12):
                page = get(client, **asked)
            shown = page.context["charts"]
            assert [chart.name for chart in shown] == WHOLE
            assert {len(chart.at) for chart in shown} == {places}
        assert shown[0].table().head[0] == "Month"
        assert shown[0].table().rows[-1][0] == "Nov 2026"

    def test_leave_days_empty_of_which_nothing_is_known(self, client, fiona):
        client.force_login(fiona)
        charts = {chart.name: chart for chart in get(client).context["charts"]}
        for name in ("hours-by-team", "idle-money", "savings", "loss-events"):
            for series in charts[name].series:
                assert series.values[0] is None and series.values[1] is not None
        (use,) = charts["use-by-work"].series
        assert (use.values[1], round(use.band[1][1], 6)) == (0, Decimal("33.333333"))
        idle = {series.name: series.values[1] for series in charts["idle-money"].series}
        assert idle == {
            "No call in the hour": 3,
            "Starting": 1,
            "GPUs without a replica": 10,
            "Nobody saw the machine": 3,
        }

    def test_come_with_their_sums_and_the_methods_behind_them(self, client, fiona):
        client.force_login(fiona)
        page = get(client)
        figures = {each.label: (each.amount, each.note) for each in page.context["figures"]}
        assert figures["Saved by Spot"] == (
            "$146.12",
            "against on demand · 1.0 GPU-hours have no price, and are in no amount",
        )
        assert figures["Saved by consolidation"][0] == "$0.00"
        text = joined(page.content)
        for method in FACTS.values():
            assert method.id in text and method.text.replace("'", "&#x27;") in text
        assert "gpu-work-1" in text

    def test_know_nothing_of_a_month_without_machines(self, client, fiona):
        client.force_login(fiona)
        page = get(client, month="2026-06")
        assert {each.amount for each in page.context["figures"]} == {"not known"}
        assert all(chart.is_empty for chart in page.context["charts"])

    def test_show_a_lead_the_team_s_own_and_nothing_of_the_others(self, client, charlie):
        client.force_login(charlie)
        page = get(client)
        assert [chart.name for chart in page.context["charts"]] == WHOLE[:2]
        hours, cost = page.context["charts"]
        assert [series.name for series in hours.series] == ["claims-review"]
        assert [series.name for series in cost.series] == ["prior-auth-extract on H100"]
        assert "prior-auth<" not in page.content.decode() and not page.context["figures"]

    def test_say_what_is_simulated(self, client, fiona):
        machine("kwok", 7, 8, provider_id="kwok://x", price_basis="simulated-spot")
        allocate_day(day=at(0).date(), now=at(24))
        client.force_login(fiona)
        page = get(client)
        assert page.context["simulated"].prices and page.context["simulated"].machines
        notes = {chart.name: chart.note for chart in page.context["charts"]}
        assert notes["savings"] == notes["losses"] == notes["idle-money"] == "simulated"

    def test_are_not_found_for_a_month_that_cannot_be(self, client, fiona):
        client.force_login(fiona)
        assert get(client, month="2026-13").status_code == 404
