"""The pages of money."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.accounts.models import Role
from apps.chargeback import actions as allocations
from apps.chargeback.actions import price_day, price_due_days
from apps.chargeback.views import freshness
from apps.metering.models import DirtyHour, Outcome, SealedHour
from tests.chargeback.pricing import CHEAP, price
from tests.chargeback.test_queries import END, START, use
from tests.factories import TeamFactory, UserFactory
from tests.fleet.machines import at, machine, replica
from tests.metering.test_views import call


@pytest.fixture
def fiona(db):
    return UserFactory(
        username="fiona", team=TeamFactory(slug="finance"), with_roles=[Role.FINANCE]
    )


@pytest.fixture
def november(registered_model):
    price(registered_model, CHEAP, START)
    use(START)
    use(START, team="prior-auth", cost_center="CC-4200", version="prior-auth-extract-v2")
    price_due_days()


@pytest.mark.usefixtures("november")
class TestMonth:
    def test_shows_the_total_and_every_line_to_finance(
        self, client, fiona, django_assert_max_num_queries
    ):
        client.force_login(fiona)
        with django_assert_max_num_queries(18):
            page = client.get(reverse("chargeback:month"), {"month": "2026-11"}).content.decode()
        assert "Total of 2 lines" in page and "2,000" in page
        assert "CC-4100" in page and "CC-4200" in page

    def test_tells_what_is_estimated_of_calls_without_usage(self, client, fiona, charlie):
        figures = {"estimated_input_tokens": 1_000, "estimated_output_tokens": 70}
        use(END - timedelta(hours=1), unmetered_calls=5, estimated_calls=3, **figures)
        use(END - timedelta(hours=1), team="prior-auth", unmetered_calls=2, estimated_calls=2)
        price_due_days()
        url = reverse("chargeback:month") + "?month=2026-11"
        client.force_login(fiona)
        page = " ".join(client.get(url).content.decode().split())
        assert "counters tell of 5 of them: about 1,000 tokens in and 70 out" in page
        assert "Of 2 nothing is known." in page
        client.force_login(charlie)
        assert "counters tell of 3 of them" in client.get(url).content.decode()

    def test_shows_a_team_lead_their_own_team(self, client, charlie):
        client.force_login(charlie)
        page = client.get(reverse("chargeback:month"), {"month": "2026-11"}).content.decode()
        assert "CC-4100" in page and "CC-4200" not in page

    def test_exports_exactly_the_lines(self, client, fiona):
        client.force_login(fiona)
        answer = client.get(reverse("chargeback:month"), {"month": "2026-11", "format": "csv"})
        rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
        assert sum(int(row["input_tokens"]) for row in rows) == 2000
        assert {row["team"] for row in rows} == {"claims-review", "prior-auth"}

    def test_leads_from_every_figure_to_the_calls_it_is_made_of(self, client, fiona):
        client.force_login(fiona)
        lines = client.get(reverse("chargeback:month"), {"month": "2026-11"}).context["table"].lines
        own = next(line for line in lines if line.row.team == "claims-review")
        links = {cell.column.key: cell.url for cell in own.cells if cell.url}
        wanted = "since=2026-11-01&until=2026-11-30&cost_center=CC-4100&team=claims-review"
        wanted += "&model=prior-auth-extract&version=prior-auth-extract-v1"
        assert links["model"] == f"/usage/?{wanted}"
        assert links["refused_calls"] == f"/usage/?{wanted}&outcome=REFUSED"
        assert links["list_cost_usd"] == f"/usage/?{wanted}&outcome=METERED"
        asked = {"month": "2026-11", "by": "day"}
        days = client.get(reverse("chargeback:month"), asked).context["table"].lines
        assert "since=2026-11-01&until=2026-11-01" in days[0].cells[2].url

    def test_names_refused_calls_by_their_code(self, client, fiona):
        use(START, team="", refused_calls=5, refused_401_calls=3, refused_429_calls=1)
        use(START, team="other", refused_calls=2, refused_401_calls=2)
        price_due_days()
        client.force_login(fiona)
        page = client.get(reverse("chargeback:month"), {"month": "2026-11"})
        days = "since=2026-11-01&until=2026-11-30"
        assert page.context["refusals"] == [
            ("5 × 401 no valid token", f"/usage/?{days}&code=401"),
            ("1 × 429 over the limit", f"/usage/?{days}&code=429"),
            ("1 with another code", f"/usage/?{days}&outcome=REFUSED"),
        ]
        nobody = next(line for line in page.context["table"].lines if line.row.team == "")
        assert "team=%28none%29" in nobody.cells[2].url

    def test_shows_amounts_in_cents_and_exactly_on_hover(self, client, fiona):
        client.force_login(fiona)
        page = client.get(reverse("chargeback:month"), {"month": "2026-11"}).content.decode()
        assert '<span title="$0.000122">&lt; $0.01</span>' in page

    def test_is_not_found_for_a_month_that_cannot_be(self, client, fiona):
        client.force_login(fiona)
        assert client.get(reverse("chargeback:month"), {"month": "2026-13"}).status_code == 404


class TestFreshness:
    """How complete a month is belongs to that month, not to the clock."""

    DAY = timedelta(days=1)

    @pytest.fixture(autouse=True)
    def calls(self, db):
        for moment in (START + self.DAY, START + 2 * self.DAY, END + self.DAY):
            call(Outcome.REFUSED, occurred_at=moment)

    def test_of_a_past_month_is_complete_whatever_came_since(self):
        assert freshness(START, END, END) == "complete: every hour is added up and priced"

    def test_of_this_month_ends_with_its_newest_call(self):
        found = freshness(START, END, END - self.DAY)
        assert found == "metered until 00:00:00 UTC on 3 Nov 2026"
        october = START - self.DAY
        assert freshness(october, START, october) == "no call metered yet this month"

    def test_counts_the_hours_that_wait_to_be_added_up(self):
        for hour in (START, START + timedelta(hours=5), END, START - timedelta(hours=1)):
            DirtyHour.objects.create(hour=hour, marked_at=END)
        assert freshness(START, END, END) == "2 hours still being added up"
        assert freshness(START, END, START + 3 * self.DAY) == (
            "metered until 00:00:00 UTC on 3 Nov 2026 · 2 hours still being added up"
        )

    def test_counts_the_days_that_wait_to_be_priced(self):
        for hour in (START, START + timedelta(hours=5), START + 3 * self.DAY, END):
            use(hour)
        DirtyHour.objects.create(hour=START, marked_at=END)
        assert freshness(START, END, END) == (
            "1 hour still being added up · 2 days still being priced"
        )
        price_day(day=START.date())
        DirtyHour.objects.all().delete()
        assert freshness(START, END, END) == "1 day still being priced"
        found = freshness(START, END, START + 3 * self.DAY)
        assert found == "metered until 00:00:00 UTC on 3 Nov 2026 · 1 day still being priced"

    def test_says_until_when_it_is_sealed(self):
        SealedHour.objects.create(hour=START + 2 * self.DAY, sealed_at=END)
        words = "sealed until 01:00 UTC on 3 Nov 2026"
        assert freshness(START, END, END) == (
            f"complete: every hour is added up and priced · {words}"
        )
        found = freshness(START, END, START + 3 * self.DAY)
        assert found == f"metered until 00:00:00 UTC on 3 Nov 2026 · {words}"
        SealedHour.objects.create(hour=END - timedelta(hours=1), sealed_at=END)
        whole = "complete: every hour is added up and priced · sealed"
        assert freshness(START, END, END) == whole

    def test_of_a_month_to_come_has_not_begun(self):
        assert freshness(END, END + 31 * self.DAY, START) == "has not begun"


@pytest.mark.usefixtures("november")
class TestApi:
    def test_answers_whole_tokens_and_exact_money(self, fiona):
        client = APIClient()
        client.force_authenticate(fiona)
        answer = client.get("/api/v1/chargeback/2026-11").json()
        line = answer["lines"][0]
        assert type(line["input_tokens"]) is int
        assert Decimal(line["list_cost_usd"]) > 0
        assert not line["list_cost_usd"].endswith("0")


def machines_of_november():
    """Two models, one starting, GPUs for nobody, a machine without a price and one nobody saw."""
    big = machine("big", 0, 2, price="8")
    replica(big, "prior-auth-extract-v1", 0, 2, gpus=2)
    replica(big, "embed-v1", 0, 2, ready=1)
    use(at(1), team="claims-review", model="prior-auth-extract", version="prior-auth-extract-v1")
    use(at(9), team="prior-auth", model="prior-auth-extract", version="prior-auth-extract-v9")
    price_due_days()
    machine("dark", 3, 4, price="3", observed=False)
    replica(machine("free", 5, 6, price=None, gpus=1), "embed-v1", 5, 6)
    allocations.allocate_day(day=at(0).date(), now=at(24))


class TestMachinesOfTheApi:
    def test_are_the_page_s_and_sum_to_their_total(self, november, fiona, charlie):
        machines_of_november()
        client = APIClient()
        client.force_authenticate(fiona)
        found = client.get("/api/v1/chargeback/2026-11").json()["machines"]
        kinds = ("work", "idle", "start", "unallocated", "platform", "residual")
        amounts = [found[f"{kind}_usd"] for kind in kinds]
        assert amounts == ["2", "3", "1", "10", "0", "3"]
        assert (found["total_usd"], found["gpu_hours"], found["unpriced_gpu_hours"]) == (
            "19",
            "25",
            "1",
        )
        assert (found["method"], found["until"]) == ("gpu-work-1", "2026-11-03T00:00:00Z")
        embed = next(line for line in found["models"] if line["model"] == "embed")
        assert (embed["real_usd"], embed["list_usd"], embed["margin_usd"], embed["cards"]) == (
            "2",
            None,
            None,
            ["h100"],
        )
        client.force_authenticate(charlie)
        own = client.get("/api/v1/chargeback/2026-11").json()["machines"]
        assert (own["total_usd"], own["unallocated_usd"]) == ("2", "0")
        assert [line["model"] for line in own["models"]] == ["prior-auth-extract"]

    def test_are_null_where_nothing_is_known(self, november, fiona):
        client = APIClient()
        client.force_authenticate(fiona)
        found = client.get("/api/v1/chargeback/2026-11").json()["machines"]
        (line,) = found["models"]
        assert found["until"] is None
        assert (line["real_usd"], line["gpu_hours"], line["margin_usd"]) == (None, None, None)
        assert Decimal(line["list_usd"]) > 0


class TestMachines:
    def get(self, client, **query):
        return client.get(reverse("chargeback:month"), {"month": "2026-11"} | query)

    @pytest.fixture(autouse=True)
    def machines(self, november):
        machines_of_november()

    def test_are_shown_with_an_equation_that_sums_to_the_total(self, client, fiona):
        client.force_login(fiona)
        section = self.get(client).context["machines"]
        assert section.total_usd == 19
        terms = [(each.sign, each.label, each.amount_usd, each.share) for each in section.terms]
        assert terms == [
            ("=", "Used by calls", 2, "10.5%"),
            ("+", "Idle replicas", 3, "15.8%"),
            ("+", "Starting replicas", 1, "5.3%"),
            ("+", "GPUs without a replica", 10, "52.6%"),
            ("+", "Platform", 0, "0.0%"),
            ("+", "Residual", 3, "15.8%"),
        ]
        assert section.terms[1].cause == "$3.00 in hours without a call"
        assert (
            section.note
            == "shared out until 00:00 UTC on 3 Nov 2026 · 1 day still being shared out"
        )
        assert section.figures == [
            ("GPU-hours", "25.0"),
            ("Saved by Spot", "$146.12 against the same machines on demand; 1.0 GPU-hours of Spot "
             "have no price to compare"),
        ]  # fmt: skip
        assert section.troubles == [
            "1.0 GPU-hours ran on machines without a price: they are in no amount.",
            "Nobody saw the machines for 1.0 of their hours: the residual.",
            "1,100 tokens came from versions of which no ready replica was seen: no machine time "
            "is theirs.",
        ]

    def test_lead_by_model_to_both_bases_and_the_margin(self, client, fiona):
        client.force_login(fiona)
        page = self.get(client).content.decode()
        table = self.get(client).context["machines"].models
        lines = {line.row.name: line.row for line in table.lines}
        assert list(lines)[:2] == ["GPUs without a replica", "prior-auth-extract"]
        mine = lines["prior-auth-extract"]
        assert (mine.real_usd, mine.cards, mine.use) == (4, "H100", "0% to 50%")
        assert mine.margin_usd == mine.list_usd - 4 and mine.list_usd > 0
        embed = lines["embed"]
        assert (embed.real_usd, embed.list_usd, embed.margin_usd) == (2, None, None)
        assert lines["Residual"].margin_usd == -3
        sums = {cell.column.key: cell.value for cell in table.sums if hasattr(cell, "column")}
        assert sums["real_usd"] == 19
        assert "How it is shared" in page and "gpu-work-1, version 1." in page

    def test_tell_a_million_tokens_by_card(self, client, fiona):
        client.force_login(fiona)
        cards = self.get(client).context["machines"].cards
        found = {(line.row.model, line.row.card): line.row.usd_per_million for line in cards.lines}
        assert found == {
            ("prior-auth-extract", "H100"): round(Decimal(4) * 1_000_000 / 1100, 6),
            ("embed", "H100"): None,
        }

    def test_are_drawn_by_day_with_days_that_nobody_shared_out_left_empty(self, client, fiona):
        machine("later", 53, 54, price="4")
        allocations.allocate_day(day=at(53).date(), now=at(90))
        client.force_login(fiona)
        chart = self.get(client).context["machines"].chart
        assert [day.day for day in chart.at] == [2, 3, 4]
        values = {series.name: list(series.values) for series in chart.series}
        assert values == {
            "Used by calls": [2, None, 0],
            "Idle replicas": [3, None, 0],
            "Starting replicas": [1, None, 0],
            "GPUs without a replica": [10, None, 4],
            "Residual": [3, None, 0],
        }

    def test_are_exported_as_csv(self, client, fiona):
        client.force_login(fiona)
        answer = self.get(client, **{"machines-format": "csv"})
        assert "machines-2026-11" in answer["Content-Disposition"]
        rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
        assert sum(Decimal(row["real_usd"] or 0) for row in rows) == 19
        embed = next(row for row in rows if row["model"] == "embed")
        assert (embed["list_usd"], embed["idle_usd"], embed["gpu_hours"]) == ("", "1", "3")
        answer = self.get(client, **{"cards-format": "csv"})
        assert b"usd_per_million_tokens" in b"".join(answer)

    def test_are_swapped_alone(self, client, fiona):
        client.force_login(fiona)
        asked = {"headers": {"HX-Request": "true", "HX-Target": "table-machines-2026-11"}}
        where = reverse("chargeback:month")
        answer = client.get(where, {"month": "2026-11", "machines-sort": "model"}, **asked)
        page = answer.content.decode()
        assert 'id="table-machines-2026-11"' in page and "<html" not in page
        assert "GPUs without a replica" in page

    def test_show_a_team_what_its_own_work_took(self, client, charlie):
        client.force_login(charlie)
        page = self.get(client)
        section = page.context["machines"]
        assert (section.total_usd, section.terms, section.chart) == (2, [], None)
        assert [line.row.name for line in section.models.lines] == ["prior-auth-extract"]
        assert section.troubles == []
        assert "Used by calls of the team" in page.content.decode()
        assert "GPUs without a replica" not in page.content.decode()

    def test_say_what_is_simulated(self, client, fiona):
        client.force_login(fiona)
        assert not self.get(client).context["simulated"].prices
        machine("kwok", 7, 8, provider_id="kwok://x", price_basis="simulated-spot")
        allocations.allocate_day(day=at(0).date(), now=at(24))
        page = self.get(client)
        assert page.context["simulated"].prices and page.context["simulated"].machines
        assert "Spot prices are simulated." in page.content.decode()

    def test_of_a_month_without_one_say_so(self, client, fiona):
        client.force_login(fiona)
        page = client.get(reverse("chargeback:month"), {"month": "2026-08"}).content.decode()
        assert "No machine was seen in this month" in page
        assert "All machines" not in page
