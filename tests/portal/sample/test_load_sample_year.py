"""The sample year, two months of it: through the product's own doors, once, whatever happens."""

import sys
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Sum

from apps.access.budgets.models import Boost, Budget
from apps.access.models import AccessRequest, Grant
from apps.accounts.models import CostCenter, Team
from apps.audit.models import Action, AuditEvent
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.catalog.registry import registry_from_settings
from apps.chargeback.bills.models import Bill
from apps.chargeback.closing.models import MonthClose, Statement
from apps.chargeback.inputs import due_days
from apps.chargeback.models import AllocatedDay, PriceChange, Rate
from apps.chargeback.queries import EVERYTHING, month_totals
from apps.common.periods import end_of_day
from apps.fleet.models import Node, NodeClaim, NodeInterval, Replica
from apps.metering.backfill.models import Backfill
from apps.metering.met.models import MetCalls
from apps.metering.models import (
    DirtyHour,
    EngineHour,
    HourlyUsage,
    LateUsage,
    SealedHour,
    UsageEvent,
)
from apps.metering.quarantine.models import CheckedDay, QuarantinedRecord
from apps.metering.sealing import sealed_until
from apps.slo.measure import measure
from apps.slo.models import Objective, Standing
from portal.sample import company as facts
from portal.sample import year
from portal.sample.calls import calls
from portal.sample.company import meridian
from portal.sample.founding import CONTRACT_USD
from portal.sample.machines import machines, mondays
from portal.sample.year import BillWriter, NotBegun, begin_year, load_year, months_to_close

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 5, 9, 20, tzinfo=UTC)


class Killed(Exception):
    """What ends the loader in a test."""


@pytest.fixture
def two_months(monkeypatch):
    monkeypatch.setattr(facts, "MONTHS", 2)


@pytest.fixture
def load(two_months, store, settings):
    """Return what brings the year in, and returns the lines that it says."""
    settings.CUR_BUCKET, settings.CUR_PREFIX = store.bucket, "sample-year"
    settings.CUR_EXPORT = f"cur-{uuid.uuid4().hex[:8]}"
    writer = BillWriter(command=[sys.executable, "-m", "deploy.local.doubles.cur"], env={})
    begin_year(now=NOW)
    return lambda: list(
        load_year(registry=registry_from_settings(), bills=writer, clock=lambda: NOW)
    )


def stored():
    """Return what is there of everything that could be there twice, or not at all."""
    models = (
        UsageEvent, HourlyUsage, EngineHour, NodeClaim, Node, NodeInterval, Replica, AllocatedDay,
        Rate, Grant, Budget, Boost, ModelVersion, Statement, AuditEvent, Objective, MetCalls,
    )  # fmt: skip
    return {model.__name__: model.objects.count() for model in models}


def wanted():
    """Return the company whose two months are loaded, and its calls."""
    company = meridian(NOW.replace(minute=0))
    made = [call for day in company.days for call in calls(company, day)]
    return company, made


def _has_the_calls(made):
    assert UsageEvent.objects.count() == len(made)
    assert not QuarantinedRecord.objects.exists()
    sums = HourlyUsage.objects.aggregate(
        tokens=Sum("input_tokens"), estimated=Sum("estimated_calls"), calls=Sum("metered_calls")
    )
    metered = [call.record for call in made if call.record.outcome == "METERED"]
    assert sums["calls"] == len(metered)
    assert sums["tokens"] == sum(record.input_tokens for record in metered)
    untold = [call for call in made if call.record.outcome == "UNMETERED"]
    assert sums["estimated"] > 0.9 * len(untold) > 0


def _has_the_machines(company):
    told = [one for monday in mondays(company) for one in machines(company, monday)]
    assert NodeClaim.objects.count() == NodeInterval.objects.count() == len(told)
    ends = dict(NodeClaim.objects.values_list("name", "ended_at"))
    assert ends == {one.name: one.ended_at for one in told}
    assert not NodeClaim.objects.filter(end_observed=False).exists()
    pods = {one.pod.name: one.pod.ended_at for one in told if one.pod}
    assert dict(Replica.objects.values_list("name", "ended_at")) == pods

    assert due_days(company.until) == [company.days[-1]]
    for day in AllocatedDay.objects.all():
        assert (day.unpriced_seconds, day.unobserved_seconds) == (0, 0)
    total = AllocatedDay.objects.aggregate(usd=Sum("total_usd"))["usd"]
    assert abs(total - sum(_paid(one) for one in told)) < Decimal("0.01")
    assert month_totals(month=company.first_day, scope=EVERYTHING).unpriced_tokens == 0


def _paid(machine):
    """Return what a machine cost, by the contract where it covers it."""
    seconds = Decimal((machine.ended_at - machine.launched_at).total_seconds())
    under_contract = (machine.instance_type, machine.capacity_type) == ("p5.4xlarge", "on-demand")
    return seconds / 3600 * (CONTRACT_USD if under_contract else machine.usd_per_hour)


def _has_closed_a_month(company):
    assert months_to_close(company) == [company.first_day]
    closed = MonthClose.objects.get()
    assert (closed.status, closed.month) == ("CLOSED", company.first_day)
    assert (closed.requested_by.username, closed.decided_by.username) == ("fiona", "felix")
    assert Statement.objects.count() >= 9
    states = {check["key"]: check["state"] for check in closed.checklist}
    assert set(states.values()) == {"ok"}
    assert list(Bill.objects.order_by("month").values_list("month", "is_final")) == [
        (company.first_day, True),
        (date(2026, 3, 1), False),
    ]
    assert Bill.objects.get(is_final=True).by_kind["SUPPORT"] == "100"
    event = AuditEvent.objects.get(action=Action.MONTH_CLOSED)
    assert event.occurred_at < NOW - timedelta(days=1) < event.recorded_at


def _has_the_company(company):
    assert set(Team.objects.values_list("slug", "cost_center__code")) == {
        (team.slug, team.cost_center) for team in company.teams
    }
    assert CostCenter.objects.count() == 9
    assert set(RegisteredModel.objects.values_list("name", flat=True)) == {
        model.name for model in company.models
    }
    wanted_grants = {(model.name, slug) for model in company.models for slug in model.teams}
    grants = Grant.objects.active(NOW).values_list("registered_model__name", "team__slug")
    assert sorted(grants) == sorted(wanted_grants)
    for asked in (AccessRequest, PriceChange, Boost):
        rows = list(asked.objects.values_list("requested_by", "decided_by"))
        assert rows and all(
            decided is not None and requested != decided for requested, decided in rows
        )
    assert Budget.objects.exclude(cost_center=None).count() == 5


def _has_sealed_its_days_in_time(company):
    assert not LateUsage.objects.exists() and not DirtyHour.objects.exists()
    assert sealed_until() > company.until - timedelta(hours=12)
    first = SealedHour.objects.order_by("hour").first()
    assert first.sealed_at < company.start + timedelta(days=2)


def _has_objectives_that_are_kept_and_that_are_not(made):
    measure(now=NOW)
    rows = Standing.objects.select_related("objective__registered_model")
    stands = {
        (row.objective.registered_model.name, row.objective.kind): row for row in rows
    }  # fmt: skip
    assert len(stands) == 5
    kept, missed = stands["member-chat", "AVAILABILITY"], stands["claims-triage", "TTFT"]
    assert kept.health == "HEALTHY" and kept.budget_left > 0.3
    assert missed.health in ("SPENT", "TICKET", "PAGE") and missed.budget_left < 0
    lately = [
        call.record for call in made
        if call.record.model == "member-chat" and call.record.occurred_at >= kept.since
    ]  # fmt: skip
    assert kept.bad == sum(record.outcome == "FAILED" for record in lately) > 0
    # its last two days alone are kept in steps
    assert set(MetCalls.objects.filter(at__lt=NOW - timedelta(days=3)).values_list(
        "grain", flat=True)) == {3600}  # fmt: skip


class TestLoadYear:
    def test_brings_in_a_company_whose_figures_agree_once(self, load):
        lines = load()
        assert "33 days are there, their last months closed" in lines
        company, made = wanted()
        _has_the_calls(made)
        _has_the_machines(company)
        _has_the_company(company)
        _has_closed_a_month(company)
        _has_sealed_its_days_in_time(company)
        _has_objectives_that_are_kept_and_that_are_not(made)
        assert CheckedDay.objects.count() == len(company.days)
        before = stored()
        assert load()[0] == "the year until 2026-03-05 09:00 UTC is there"
        assert stored() == before

    def test_needs_to_be_begun(self, two_months):
        with pytest.raises(NotBegun):
            next(load_year(registry=None, clock=lambda: NOW))


class TestKilled:
    @pytest.fixture
    def kill(self, monkeypatch):
        """Return what ends the loader at the nth call of one of its steps, once."""

        def at(name, number):
            step, asked = getattr(year, name), []

            def killed(*args, **more):
                asked.append(1)
                if len(asked) == number:
                    raise Killed
                return step(*args, **more)

            monkeypatch.setattr(year, name, killed)

        return at

    def test_goes_on_without_doubles_or_gaps(self, load, kill):
        for name, number in (
            ("tell_week", 2),
            ("ingest_usage", 3),
            ("record_engine_hours", 5),
            ("advance_backfill", 7),
            ("roll_up_hours", 4),
            ("seal_hours", 5),
            ("price_due_days", 6),
            ("allocate_day", 7),
            ("roll_up_dirty_hours", 1),
            ("read_bills", 1),
            ("ask_to_close", 1),
            ("close_month", 1),
            ("finish_backfill", 1),
        ):
            kill(name, number)
            with pytest.raises(Killed):
                load()
        load()
        company, made = wanted()
        assert Backfill.objects.get().finished_at == NOW
        assert UsageEvent.objects.count() == len(made)
        by_day = HourlyUsage.objects.aggregate(
            days=Count("hour__date", distinct=True), calls=Sum("metered_calls")
        )
        assert by_day["days"] == len(company.days)
        assert by_day["calls"] == sum(call.record.outcome == "METERED" for call in made)
        told = [one.name for monday in mondays(company) for one in machines(company, monday)]
        assert sorted(NodeClaim.objects.values_list("name", flat=True)) == sorted(told)
        known = dict(
            AllocatedDay.objects.filter(day__gte=company.first_day).values_list("day", "until")
        )
        assert known == {day: min(end_of_day(day), company.until) for day in company.days}
        assert (MonthClose.objects.count(), Grant.objects.active(NOW).count()) == (
            1,
            sum(len(model.teams) for model in company.models),
        )
        assert not LateUsage.objects.exists() and not QuarantinedRecord.objects.exists()


class TestCommand:
    def test_refuses_where_pages_would_not_say_so(self):
        with pytest.raises(CommandError, match="SAMPLE=year"):
            call_command("load_sample_year")

    def test_is_begun_by_the_small_sample_where_it_is_wanted(self, settings):
        settings.SAMPLE = "year"
        with pytest.raises(CommandError, match="Begin the sample year"):
            call_command("load_sample_year")
        for _ in range(2):
            call_command("load_sample", verbosity=0)
        begun = Backfill.objects.get()
        assert begun.is_sample
        # the models of both are there from the year's first day on, with one price list each
        created = RegisteredModel.objects.values_list("name", "created_at")
        assert dict(created) == {
            "prior-auth-extract": begun.since,
            "clinical-summary": begun.since,
        }
        assert set(Rate.objects.values_list("active_from")) == {(begun.since,)}

    def test_begins_nothing_where_it_is_not_wanted(self):
        call_command("load_sample", verbosity=0)
        assert not Backfill.objects.exists()
