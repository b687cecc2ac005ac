"""FOCUS exports of a month, as files."""

import csv
import io
from datetime import date, timedelta
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from apps.accounts.models import Role
from apps.chargeback import costs, queries
from apps.chargeback.closing.models import MonthClose, Statement
from apps.chargeback.focus import export
from apps.common.periods import month_bounds
from apps.metering.backfill.actions import begin_backfill
from tests.chargeback.closing.test_actions import (  # noqa: F401 (a fixture)
    AFTER,
    DECEMBER_2,
    END,
    NOVEMBER,
    OCTOBER,
    START,
    ask,
    close,
    kept_october,
    october,
    settled,
)
from tests.chargeback.test_queries import use
from tests.factories import UserFactory
from tests.fleet.machines import machine
from tests.pages import joined

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("october")]
URL = "/chargeback/focus/2026-10/"
ALL = queries.Scope(None)


@pytest.fixture
def finance(client):
    client.force_login(UserFactory(with_roles=[Role.FINANCE]))
    return client


def read(answer):
    return list(csv.DictReader(io.StringIO(b"".join(answer).decode())))


def total(rows, column="BilledCost"):
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


@pytest.mark.parametrize("version", ["1.2", "1.4"])
class TestFiles:
    def test_by_the_price_list_sum_to_the_page(self, finance, version):
        rows = read(finance.get(URL, {"version": version}))
        page = queries.month_totals(month=OCTOBER, scope=ALL)
        assert total(rows) == page.list_cost_usd > 0
        tokens = sum(Decimal(row["ConsumedQuantity"]) for row in rows)
        assert tokens == page.input_tokens + page.output_tokens
        assert {row["SubAccountId"] for row in rows} == {"claims-review", "prior-auth"}
        assert {row["x_CostBasis"] for row in rows} == {"PriceList"}

    def test_by_cost_sum_to_the_machines(self, finance, version):
        machine("one", -768, -760, price="8")
        settled()
        rows = read(finance.get(URL, {"version": version, "basis": "COST"}))
        start, end = month_bounds(OCTOBER)
        assert total(rows) == costs.totals(start=start, end=end, scope=ALL).total_usd == 64
        assert total(rows, "EffectiveCost") == 64
        assert {row["SubAccountId"] for row in rows} == {"platform"}

    def test_as_parquet_hold_the_same(self, finance, version):
        answer = finance.get(URL, {"version": version, "format": "parquet"})
        table = pq.read_table(io.BytesIO(b"".join(answer)))
        rows = read(finance.get(URL, {"version": version}))
        assert table.column_names == list(rows[0])
        assert sum(table["BilledCost"].to_pylist()) == total(rows)
        assert table.num_rows == len(rows)


class TestDoors:
    def test_say_what_the_rows_leave_out(self, finance):
        use(START, model="other", version="other-v1", unmetered_calls=2)
        machine("dark", -768, -767, price=None)
        settled()
        told = finance.get(URL, {"format": "metadata"}).json()
        assert (told["x_UnpricedTokens"], told["x_CallsWithoutUsage"]) == (1100, 2)
        assert Decimal(told["x_UnpricedMachineSeconds"]) == 3600
        assert len(read(finance.get(URL))) == 6

    @pytest.mark.parametrize("format", ["csv", "parquet"])
    def test_send_nothing_that_breaks_a_rule_and_say_which(self, finance, settings, format):
        settings.BILLING_ISSUER_NAME = ""
        answer = finance.get(URL, {"format": format})
        said = joined(answer.content)
        assert answer.status_code == 409
        assert "These rows are not FOCUS 1.2, so none of them is sent." in said
        assert "In row 1: " in said and "InvoiceIssuerName holds nothing" in said
        assert "attachment" not in answer.get("Content-Disposition", "")

    @pytest.mark.parametrize("asked", [{"version": "1.3"}, {"basis": "BOTH"}, {"format": "xlsx"}])
    def test_know_no_other_format(self, finance, asked):
        assert finance.get(URL, asked).status_code == 404

    def test_are_not_there_for_those_who_see_one_team(self, client):
        client.force_login(UserFactory(with_roles=[Role.TEAM_LEAD]))
        assert client.get(URL).status_code == 404


class TestOfASample:
    """October was made up; November is real, but for what it corrects."""

    @pytest.fixture(autouse=True)
    def sample(self):
        begin_backfill(name="s", since=START, until=END, is_sample=True, now=AFTER)

    @pytest.mark.parametrize("version", ["1.2", "1.4"])
    @pytest.mark.parametrize("basis", ["LIST", "COST"])
    def test_say_so_in_their_name_and_in_each_row(self, finance, version, basis):
        machine("one", -768, -760, price="8")
        settled()
        for _ in ("open", "closed"):
            answer = finance.get(URL, {"version": version, "basis": basis})
            name = f"focus-{version}-{basis.lower()}-2026-10-sample.csv"
            assert f'filename="{name}"' in answer["Content-Disposition"]
            assert {is_marked(row) for row in read(answer)} == {True}
            if not MonthClose.objects.exists():
                close(ask(reasons={"BILL": "None.", "RECONCILIATION": "None."}))
        told = finance.get(URL, {"format": "metadata", "version": version}).json()
        assert told["x_Sample"] is True

    def test_is_told_of_other_months_where_they_correct_one_of_it(self, finance):
        close(ask())
        use(START + timedelta(hours=3), team="late")
        use(END + timedelta(hours=3), team="real")
        settled(DECEMBER_2)
        november = "/chargeback/focus/2026-11/"
        assert "x_Sample" not in finance.get(november, {"format": "metadata"}).json()
        for _ in ("open", "closed"):
            answer = finance.get(november)
            assert "sample" not in answer["Content-Disposition"]
            marks = {(row["SubAccountId"], is_marked(row)) for row in read(answer)}
            assert {("late", True), ("real", False)} <= marks
            if MonthClose.objects.count() == 1:
                close(ask(NOVEMBER, now=DECEMBER_2, reasons=AGREED), now=DECEMBER_2)

    def test_marks_the_rows_that_a_statement_carries(self):
        close(ask())
        (statement, _) = Statement.objects.select_related("close").order_by("number")
        rows = list(export.statement_rows(statement, "LIST"))
        assert rows and all(row["ChargeDescription"].startswith("Sample: ") for row in rows)


AGREED = {"BILL": "None.", "RECONCILIATION": "None.", "QUARANTINE": "None."}


def is_marked(row):
    marks = row["ChargeDescription"].startswith("Sample: "), '"sample": "true"' in row["Tags"]
    assert marks[0] == marks[1]
    return marks[0]


class TestCorrections:
    def test_come_with_the_open_month_and_stay_with_the_one_that_billed_them(self, finance):
        close(ask())
        billed = read(finance.get(URL))
        assert {row["InvoiceId"] for row in billed} == {"2026-10-001", "2026-10-002"}
        use(START + timedelta(hours=3), team="late")
        settled(DECEMBER_2)
        november = "/chargeback/focus/2026-11/"
        before = read(finance.get(november))
        close(ask(NOVEMBER, now=DECEMBER_2), now=DECEMBER_2)
        after = read(finance.get(november))
        assert total(before, "EffectiveCost") == total(after, "EffectiveCost") > 0
        statement = Statement.objects.get(number="2026-11-001")
        assert total(after) == statement.list_usd
        for rows in (before, after):
            assert {row["ChargeClass"] for row in rows} == {"Correction"}
            assert {row["ChargePeriodStart"] for row in rows} == {"2026-10-01T00:00:00Z"}
            assert {row["x_CorrectsBillingPeriodStart"] for row in rows} == {"2026-10-01T00:00:00Z"}
            assert {row["BillingPeriodStart"] for row in rows} == {"2026-11-01T00:00:00Z"}
        assert {row["InvoiceId"] for row in before} == {""}
        assert {row["InvoiceId"] for row in after} == {"2026-11-001"}

    def test_leave_the_rows_of_the_closed_month_as_they_were_billed(self, finance):
        close(ask())
        before = read(finance.get(URL))
        use(START + timedelta(hours=3))  # more of a line that was billed
        use(START + timedelta(hours=3), team="late")  # and one that was not
        settled(DECEMBER_2)
        after = read(finance.get(URL))
        assert total(before) == total(after) == MonthClose.objects.get().list_usd
        assert total(before, "EffectiveCost") == total(after, "EffectiveCost")
        assert {row["SubAccountId"] for row in after} == {row["SubAccountId"] for row in before}
        ends = {row["ChargePeriodEnd"] for row in after if row["SubAccountId"] == "claims-review"}
        assert ends == {"2026-11-01T00:00:00Z"}  # its days changed, so it is told as it was billed
        (rounding,) = [row for row in before if row["ChargeCategory"] == "Adjustment"][:1]
        assert rounding["ChargeDescription"] == "Rounding of statement 2026-10-001 to cents"

    def test_of_no_closed_month_there_are_none(self):
        assert list(export.rows(date(2026, 9, 1), "LIST")) == []
