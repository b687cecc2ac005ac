"""The month's page and the page of its machines."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.chargeback import actions as allocations
from apps.chargeback.actions import price_due_days
from tests.chargeback.november import machines_of_november
from tests.chargeback.test_queries import END, START, use
from tests.factories import UserFactory
from tests.fleet.machines import at, machine
from tests.pages import joined

MONTH = "chargeback:month"
MACHINES = "chargeback:month_machines"


def get(client, name=MONTH, **asked):
    return client.get(reverse(name), {"month": "2026-11"} | asked)


def rows_of(answer):
    return list(csv.DictReader(io.StringIO(b"".join(answer).decode())))


@pytest.mark.usefixtures("november")
class TestMonth:
    def test_shows_the_total_and_the_lines_to_finance(
        self, client, fiona, django_assert_num_queries
    ):
        machines_of_november()
        client.force_login(fiona)
        with django_assert_num_queries(26):
            page = joined(get(client).content)
        assert "Total of 6 lines" in page
        assert "CC-4100" in page and "CC-4200" in page and "Idle replicas" in page

    def test_asks_as_often_whatever_the_path(self, client, fiona, django_assert_num_queries):
        machines_of_november()
        client.force_login(fiona)
        path = {"cost_center": "CC-4100", "team": "claims-review"}
        for asked in ({"cost_center": "CC-4100"}, path, path | {"by": "day"}):
            with django_assert_num_queries(27):
                get(client, **asked)

    def test_leads_step_by_step_with_addresses_that_stay(self, client, fiona):
        client.force_login(fiona)
        answer, found = get(client), []
        for _ in range(4):
            line = next(each for each in answer.context["table"].lines if each.row.tokens)
            found.append(line.cells[0].url)
            answer = client.get(line.cells[0].url.partition("#")[0])
        month = "/chargeback/?month=2026-11"
        team = "&cost_center=CC-4100&team=claims-review"
        model = "&model=prior-auth-extract"
        assert found == [
            f"{month}&cost_center=CC-4100#lines",
            f"{month}{team}#lines",
            f"{month}{team}{model}#lines",
            f"{month}{team}{model}&version=prior-auth-extract-v1#lines",
        ]
        assert [label for label, _ in answer.context["trail"]] == [
            "The whole month",
            "CC-4100",
            "claims-review",
            "prior-auth-extract",
            "prior-auth-extract-v1",
        ]
        (day,) = answer.context["table"].lines
        assert day.row.day == START.date() and day.row.tokens == 1100
        assert day.cells[0].url.startswith("/usage/?since=2026-11-01&until=2026-11-01")

    def test_leads_from_figures_to_the_calls_they_are_made_of(self, client, fiona):
        client.force_login(fiona)
        lines = get(client, by="line").context["table"].lines
        own = next(line for line in lines if line.row.team == "claims-review")
        links = {cell.column.key: cell.url for cell in own.cells if cell.url}
        wanted = "since=2026-11-01&until=2026-11-30&cost_center=CC-4100&team=claims-review"
        wanted += "&model=prior-auth-extract&version=prior-auth-extract-v1"
        assert links["model"] == f"/usage/?{wanted}"
        assert links["list_usd"] == f"/usage/?{wanted}&outcome=METERED"
        step = get(client).context["table"].lines[0]
        assert "cost_center=CC-4" in next(c.url for c in step.cells if c.column.key == "list_usd")

    def test_shows_no_calls_behind_what_is_nobodys(self, client, fiona):
        machines_of_november()
        client.force_login(fiona)
        idle = next(line for line in get(client).context["table"].lines if line.row.kind == "IDLE")
        urls = [cell.url for cell in idle.cells if cell.url]
        assert urls == ["/chargeback/?month=2026-11&kind=IDLE#lines"]

    def test_shows_every_day_of_a_team_only(self, client, fiona):
        client.force_login(fiona)
        whole = get(client, by="day").context
        assert [label for _, label, _ in whole["ways"]] == ["Step by step", "Every line"]
        team = get(client, by="day", team="claims-review").context
        assert [line.row.day for line in team["table"].lines] == [START.date()]

    def test_is_sorted_searched_and_cut_by_the_database(self, client, fiona):
        for number in range(30):
            name = {"team": f"t{number:02}", "cost_center": f"C{number:02}"}
            use(START, input_tokens=number, cached_input_tokens=0, output_tokens=0, **name)
        price_due_days()
        client.force_login(fiona)
        table = get(client, by="line", sort="input_tokens").context["table"]
        assert (table.count, len(table.lines)) == (32, 25)
        assert [line.row.input_tokens for line in table.lines] == list(range(25))
        found = get(client, by="line", q="t29").context["table"]
        assert [line.row.team for line in found.lines] == ["t29"]

    def test_exports_exactly_the_lines(self, client, fiona):
        machines_of_november()
        client.force_login(fiona)
        rows = rows_of(get(client, by="line", format="csv"))
        assert sum(int(row["input_tokens"]) for row in rows) == 4000
        assert sum(Decimal(row["real_usd"] or 0) for row in rows) == 19
        assert {row["team"] for row in rows} == {"", "claims-review", "prior-auth"}
        assert {row["kind"] for row in rows} >= {"Used by calls", "Idle replicas", "Residual"}
        steps = {row["cost_center"]: row["real_usd"] for row in rows_of(get(client, format="csv"))}
        assert (steps["CC-4100"], steps["Idle replicas"]) == ("2", "3")

    def test_shows_a_team_lead_their_own_team(self, client, charlie):
        machines_of_november()
        client.force_login(charlie)
        page = get(client)
        text = page.content.decode()
        assert "CC-4100" in text and "CC-4200" not in text and "Idle replicas" not in text
        assert [stat.label for stat in page.context["equation"]] == ["What your team's work cost"]
        assert page.context["equation"][0].amount_usd == 2
        assert "GPU-hours by team" not in text and "/chargeback/closes/" not in text
        other = get(client, team="prior-auth").context["table"]
        assert (other.count, other.lines) == (0, [])
        rows = rows_of(get(client, by="line", format="csv"))
        assert {row["team"] for row in rows} == {"claims-review"}

    def test_tells_what_is_estimated_of_calls_without_usage(self, client, fiona, charlie):
        figures = {"estimated_input_tokens": 1_000, "estimated_output_tokens": 70}
        use(END - timedelta(hours=1), unmetered_calls=5, estimated_calls=3, **figures)
        use(END - timedelta(hours=1), team="prior-auth", unmetered_calls=2, estimated_calls=2)
        price_due_days()
        client.force_login(fiona)
        page = joined(get(client).content)
        assert "Of 5 of them it is estimated (engine-hour-3)" in page
        assert "own counters: about 1,000 tokens in and 70 out." in page
        assert "Of 2 nothing is known." in page
        client.force_login(charlie)
        assert "Of 3 of them it is estimated" in get(client).content.decode()

    def test_tells_how_many_calls_were_counted_up_to_where_they_were_cut(
        self, client, fiona, charlie
    ):
        use(START + timedelta(hours=9), metered_calls=9, counted_calls=4)
        use(START + timedelta(hours=9), team="prior-auth", metered_calls=2, counted_calls=1)
        use(END, metered_calls=2, counted_calls=2)
        price_due_days()
        client.force_login(fiona)
        page = joined(get(client).content)
        assert "5 calls were cut off and counted up to there." in page
        assert "until=2026-11-30&amp;basis=COUNTED" in page
        client.force_login(charlie)
        assert "4 calls were cut off" in get(client).content.decode()

    def test_names_refused_calls_by_their_code(self, client, fiona):
        use(START, team="", refused_calls=5, refused_401_calls=3, refused_429_calls=1)
        use(START, team="other", refused_calls=2, refused_401_calls=2)
        price_due_days()
        client.force_login(fiona)
        page = get(client, by="line")
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
        page = get(client).content.decode()
        assert '<span title="$0.000122">&lt; $0.01</span>' in page

    def test_is_not_found_for_what_cannot_be(self, client, fiona):
        client.force_login(fiona)
        assert get(client, month="2026-13").status_code == 404
        assert get(client, kind="HIDDEN").status_code == 404

    def test_ends_with_how_fresh_this_month_is(self, client, fiona):
        client.force_login(fiona)
        assert get(client).context["footer"] == [
            get(client).context["as_of"],
            "0 in quarantine",
            "prices of 1 Nov 2026, 1 change in the month",
            "machines no day is shared out yet",
        ]
        october = get(client, month="2026-10").context["footer"]
        assert october[2] == "no price in force"

    def test_asks_finance_alone_to_close_a_month_that_is_over(self, client, fiona):
        auditor = UserFactory(with_roles=[Role.AUDITOR])
        for person, count in ((fiona, 1), (auditor, 0)):
            client.force_login(person)
            assert len(get(client, month="2026-01").context["actions"]) == count
            assert get(client, month="2999-01").context["actions"] == []


class TestTheTotal:
    @pytest.fixture(autouse=True)
    def machines(self, november):
        machines_of_november()

    def stats(self, client, fiona):
        client.force_login(fiona)
        return get(client).context

    def test_is_allocated_and_idle_and_unallocated(self, client, fiona):
        total, *terms = self.stats(client, fiona)["equation"]
        assert (total.amount_usd, total.is_key) == (19, True)
        assert [(each.label, each.amount_usd, each.unit) for each in terms] == [
            ("= Allocated", 2, "10.5%"),
            ("+ Idle", 4, "21.1%"),
            ("+ Unallocated", 13, "68.4%"),
        ]
        assert total.amount_usd == sum(each.amount_usd for each in terms)

    def test_stands_beside_the_price_list_and_the_margin(self, client, fiona):
        figures = {each.label: each for each in self.stats(client, fiona)["figures"]}
        assert figures["Price list"].amount_usd == 4 * Decimal("0.000122")
        assert (figures["Margin"].figure, figures["Margin"].note) == (
            "not known",
            "some machines have no price",
        )
        assert figures["GPU-hours"].figure == "25.0"

    def test_has_a_margin_where_both_are_known_whole(self, client, fiona):
        from apps.fleet.models import NodeInterval

        NodeInterval.objects.filter(price_usd_per_hour=None).update(price_usd_per_hour=3)
        allocations.allocate_day(day=at(0).date(), now=at(24))
        margin = next(s for s in self.stats(client, fiona)["figures"] if s.label == "Margin")
        assert margin.amount_usd == 4 * Decimal("0.000122") - 22

    def test_lists_the_teams_by_gpu_hours(self, client, fiona):
        table = self.stats(client, fiona)["teams"]
        assert [(line.row.team, line.row.gpu_hours) for line in table.lines] == [
            ("claims-review", 2),
            ("prior-auth", 0),
        ]
        rows = rows_of(get(client, **{"teams-format": "csv"}))
        assert [row["gpu_hours"] for row in rows] == ["2", "0"]

    def test_is_not_known_before_a_machine_was_seen(self, client, fiona):
        client.force_login(fiona)
        (total,) = get(client, month="2026-08").context["equation"]
        assert (total.figure, total.note) == ("not known", "no day is shared out yet")


class TestMachines:
    def get(self, client, **query):
        return get(client, MACHINES, **query)

    @pytest.fixture(autouse=True)
    def machines(self, november):
        machines_of_november()

    def test_are_shown_with_an_equation_that_sums_to_the_total(
        self, client, fiona, django_assert_num_queries
    ):
        client.force_login(fiona)
        with django_assert_num_queries(17):
            section = self.get(client).context["machines"]
        assert section.total.total_usd == 19
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
        table = self.get(client).context["models"]
        lines = {line.row.name: line.row for line in table.lines}
        assert list(lines)[:2] == ["GPUs without a replica", "prior-auth-extract"]
        mine = lines["prior-auth-extract"]
        found = mine.found
        assert (found["real_usd"], mine.cards, mine.use) == (4, "H100", "0% to 50%")
        assert found["margin_usd"] == found["list_usd"] - 4 and found["list_usd"] > 0
        assert mine.url == "/chargeback/?month=2026-11&model=prior-auth-extract#lines"
        embed = lines["embed"].found
        assert (embed["real_usd"], embed["list_usd"], embed["margin_usd"]) == (2, 0, None)
        assert lines["Residual"].found["margin_usd"] == -3
        sums = {cell.column.key: cell.value for cell in table.sums if hasattr(cell, "column")}
        assert sums["real_usd"] == 19
        assert "How it is shared" in page and "gpu-work-1, version 1." in page

    def test_tell_a_million_tokens_by_card(self, client, fiona):
        client.force_login(fiona)
        cards = self.get(client).context["cards"]
        found = {(line.row.model, line.row.card): line.row.usd_per_million for line in cards.lines}
        assert found == {
            ("prior-auth-extract", "H100"): round(Decimal(4) * 1_000_000 / 1100, 6),
            ("embed", "H100"): None,
        }

    def test_are_exported_as_csv(self, client, fiona):
        client.force_login(fiona)
        answer = self.get(client, **{"machines-format": "csv"})
        assert "machines-2026-11" in answer["Content-Disposition"]
        rows = rows_of(answer)
        assert sum(Decimal(row["real_usd"] or 0) for row in rows) == 19
        embed = next(row for row in rows if row["model"] == "embed")
        assert (embed["list_usd"], embed["idle_usd"], embed["gpu_hours"]) == ("0", "1", "3")
        answer = self.get(client, **{"cards-format": "csv"})
        assert b"usd_per_million_tokens" in b"".join(answer)

    def test_are_swapped_alone(self, client, fiona):
        client.force_login(fiona)
        asked = {"headers": {"HX-Request": "true", "HX-Target": "table-machines-2026-11"}}
        answer = client.get(
            reverse(MACHINES), {"month": "2026-11", "machines-sort": "model"}, **asked
        )
        page = answer.content.decode()
        assert 'id="table-machines-2026-11"' in page and "<html" not in page
        assert "GPUs without a replica" in page

    def test_show_a_team_what_its_own_work_took(self, client, charlie):
        client.force_login(charlie)
        page = self.get(client)
        section = page.context["machines"]
        assert (section.total.total_usd, section.terms, section.troubles) == (2, [], [])
        assert [line.row.name for line in page.context["models"].lines] == ["prior-auth-extract"]
        assert "Used by calls of the team" in page.content.decode()
        assert "GPUs without a replica" not in page.content.decode()

    def test_say_what_is_simulated(self, client, fiona):
        client.force_login(fiona)
        assert not self.get(client).context["simulated"].prices
        machine("kwok", 7, 8, provider_id="kwok://x", price_basis="simulated-spot")
        allocations.allocate_day(day=at(0).date(), now=at(24))
        for name in (MACHINES, MONTH):
            page = get(client, name)
            assert page.context["simulated"].prices and page.context["simulated"].machines
            assert "Spot prices are simulated." in page.content.decode()

    def test_of_a_month_without_one_say_so(self, client, fiona):
        client.force_login(fiona)
        page = self.get(client, month="2026-08").content.decode()
        assert "No machine was seen in this month" in page
        assert "All machines" not in page
