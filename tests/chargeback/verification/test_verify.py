"""A closed month derived again, from the database and from the archive; and every way in which it
is not what it was.
"""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.chargeback import ledger
from apps.chargeback.closing.models import MonthClose, Statement, StatementLine
from apps.chargeback.models import Allocation, Spend
from apps.chargeback.prices.estimates import set_estimate_rule
from apps.chargeback.verification.derive import derive
from apps.chargeback.verification.verify import NotClosed, verify_month
from apps.common.periods import DAY
from apps.fleet.models import NodeInterval
from apps.integrations.errors import PermanentError
from apps.metering.archive import reconcile
from apps.metering.archive.actions import NotWhole
from apps.metering.archive.models import ArchivedDay
from apps.metering.models import EngineHour, HourlyUsage, UsageEvent
from apps.metering.quarantine import doubles
from tests.chargeback import months
from tests.chargeback.closing.test_bill import billed_machines, keep, octobers  # noqa: F401
from tests.chargeback.pricing import finance
from tests.database import unguarded

pytestmark = pytest.mark.django_db
AFTER = months.AFTER
LATER = AFTER + 30 * DAY
MUCH_LATER = months.END + 70 * DAY


class Nothing:
    """An archive that nobody may ask."""

    def read(self, key, *, version_id=""):
        """Refuse."""
        raise PermanentError("Nothing is there.")


def closed_october():
    """Make October of real calls, and close it."""
    months.october(months.really_call)
    return months.closed()


@pytest.fixture(scope="session")
def kept_closed_october(keeper):
    """The month, made once for the tests that ask for it one after another."""
    keeper.keep("kept_closed_october", closed_october)


@pytest.fixture
def october(kept_closed_october, keeper, db):
    """October, closed, of real calls."""
    return keeper.copy()


def verified(month=months.OCTOBER, archive=None, now=AFTER):
    return verify_month(month, archive=archive or Nothing(), now=now)


def archived(archive, days=40, now=MUCH_LATER):
    """Let every day of October go into the archive, and leave the database."""
    doubles.find_doubles(now=now)
    for _ in range(3):
        reconcile.archive_days(archive=archive, now=now, clock=lambda: 0.0)
    kept = ArchivedDay.objects.filter(status="DROPPED")
    assert {row.day.day for row in kept} >= {1, 2}
    assert not UsageEvent.objects.filter(occurred_at__lt=months.END).exists()


def late(**changes):
    """Let a call come after the close."""
    tokens = {"output_tokens": 900_000} | changes
    made = months.really_call(
        "chat", months.START + timedelta(hours=9), "late", "CC-4100",
        received_at=AFTER + timedelta(hours=1), **tokens,
    )  # fmt: skip
    months.settled(AFTER + timedelta(hours=2))
    return made


class TestDerive:
    def test_comes_to_the_ledger_exactly(self, october):
        found = derive(months.OCTOBER, known_at=AFTER, archive=Nothing())
        assert found.now == found.then == ledger.known(months.OCTOBER)
        assert {key.basis for key in found.now} == {"LIST", "COST"}
        assert len(found.now) == 14
        assert dict(found.sources) == {"the database": 31}

    def test_knows_what_was_known_at_the_close(self, october):
        late()
        found = derive(months.OCTOBER, known_at=AFTER, archive=Nothing())
        assert found.then == ledger.billed(months.OCTOBER)
        assert found.now == ledger.known(months.OCTOBER) != found.then


class TestAMonthAsItWasClosed:
    def test_holds_with_calls_of_every_kind(self, archive):
        months.october(months.really_call)
        for operation in ("EMBEDDING", "RERANK", "CHAT"):
            months.really_call(
                "embed", months.START + timedelta(hours=27), "appeals", "CC-4200",
                operation=operation, input_tokens=500_000,
            )  # fmt: skip
        months.settled()
        months.closed()
        items = set(StatementLine.objects.filter(basis="LIST").values_list("item", flat=True))
        assert items == {"INPUT", "CACHED_INPUT", "OUTPUT", "EMBEDDING_INPUT", "RERANK_REQUEST"}
        report = verified()
        assert report.holds, report.differences
        archived(archive)
        report = verified(archive=archive, now=MUCH_LATER)
        assert report.holds, report.differences

    def test_holds_from_the_database(self, october):
        report = verified()
        assert report.holds, report.differences
        assert report.compared[-1].endswith(october.digest)
        assert "the calls of the days of October 2026: 31 in the database" in report.compared

    def test_holds_from_the_archive(self, october, archive):
        archived(archive)
        report = verified(archive=archive, now=MUCH_LATER)
        assert report.holds, report.differences
        (told,) = [words for words in report.compared if "archive" in words]
        days = ArchivedDay.objects.filter(status="DROPPED", day__lt=months.NOVEMBER).count()
        assert f"{days} in the archive" in told and f"{31 - days} in the database" in told

    def test_holds_with_estimates_that_are_priced(self, archive):
        set_estimate_rule(
            prices=True, actor=finance("rules"), reason="Agreed.", now=months.START - 5 * DAY
        )
        hour = months.START + timedelta(hours=3)
        EngineHour.objects.create(
            hour=hour, version="chat-v1", prompt_tokens=9_000, generation_tokens=2_430_000,
            cached_prompt_tokens=0, further_answers=0, is_whole=True, recorded_at=hour,
        )  # fmt: skip
        months.october(months.really_call)
        months.untold_call("chat", hour, "prior-auth", "CC-4200")
        months.settled()
        months.closed()
        assert StatementLine.objects.filter(is_estimated=True, team="prior-auth").count() == 2
        report = verified()
        assert report.holds, report.differences
        archived(archive)
        report = verified(archive=archive, now=MUCH_LATER)
        assert report.holds, report.differences

    def test_holds_whatever_came_later_and_so_does_the_month_that_corrects_it(self, october):
        late()
        assert verified().holds
        months.settled(LATER)
        months.closed(months.NOVEMBER, now=LATER)
        assert StatementLine.objects.filter(
            statement__close__month=months.NOVEMBER, usage_month=months.OCTOBER, team="late"
        ).exists()
        for month in (months.OCTOBER, months.NOVEMBER):
            report = verified(month, now=LATER)
            assert report.holds, report.differences

    def test_holds_where_a_double_was_taken_out_later(self, october, archive):
        first = UsageEvent.objects.get(team="claims-review")
        kept = months.really_call(
            "chat", months.START - 20 * DAY, "claims-review", "CC-4100", event_id=first.event_id,
            received_at=months.START - 20 * DAY, output_tokens=7,
        )  # fmt: skip
        months.settled()
        assert doubles.find_doubles(now=AFTER + DAY) == 1
        months.settled(AFTER + DAY)
        assert list(UsageEvent.objects.filter(event_id=first.event_id)) == [kept]
        report = verified(now=AFTER + DAY)
        assert report.holds, report.differences

    def test_holds_where_machines_were_told_of_otherwise_and_that_is_corrected(self, october):
        for one in NodeInterval.objects.filter(instance_type="g6.xlarge"):
            one.price_usd_per_hour = Decimal("2.50")
            one.save(update_fields=["price_usd_per_hour"])
        months.settled(LATER)
        report = verified(now=LATER)
        assert "Statement 2026-10-001" in report.differences[0]  # nobody corrected it yet
        months.closed(months.NOVEMBER, now=LATER)
        report = verified(now=LATER)
        assert report.holds, report.differences
        assert any(
            "told of otherwise after the close, in 2 lines" in one for one in report.compared
        )

    def test_holds_where_the_clouds_bill_was_restated(self, keep):  # noqa: F811
        months.october(months.really_call)
        billed_machines()
        months.settled()
        keep(octobers())
        months.closed()
        keep(octobers(hours=8), execution_id="execution-2", now=LATER)
        months.settled(LATER)
        months.closed(months.NOVEMBER, now=LATER)
        assert StatementLine.objects.get(item="BILL").amount_usd == -16
        for month in (months.OCTOBER, months.NOVEMBER):
            report = verified(month, now=LATER)
            assert report.holds, report.differences
        told = "what restated bills changed of October 2026, as it was billed: 1 line"
        assert told in report.compared

    def test_that_is_not_closed_is_told_so(self, october):
        with pytest.raises(NotClosed, match="November 2026 is not closed."):
            verified(months.NOVEMBER)


def changed_by_its_owner(what):
    """Let the owner of the tables change one stored number; return what the report must name."""
    line = StatementLine.objects.get(
        statement__cost_center="CC-4200", basis="LIST", team="prior-auth"
    )
    if what == "a line":
        with unguarded():
            StatementLine.objects.filter(pk=line.pk).update(amount_usd=Decimal("5.32"))
        return (
            f"Statement 2026-10-003, cost center CC-4200, line {line.position}: amount_usd is "
            "5.32, in its content 5.33."
        )
    if what == "a statement":
        with unguarded():
            Statement.objects.filter(number="2026-10-003").update(list_usd=1)
        return "Statement 2026-10-003, cost center CC-4200: list_usd is 1.00, in its content 6.47."
    if what == "a content":
        changed = line.statement.content | {"list_usd": "1.00"}
        with unguarded():
            Statement.objects.filter(number="2026-10-003").update(content=changed)
        return "Statement 2026-10-003: its content is not what its digest is of."
    if what == "a close":
        with unguarded():
            MonthClose.objects.update(digest=f"sha256:{'0' * 64}")
        return "the close has sha256:000"
    if what == "a call":
        with unguarded():
            UsageEvent.objects.filter(team="prior-auth").update(output_tokens=4_850_527)
        return (
            "The ledger of October 2026, cost center CC-4200, team prior-auth, chat-v1, OUTPUT of "
            "October 2026: it has 4850526 for $5.3355786, its calls and machines come to 4850527 "
            "for $5.3355797."
        )
    if what == "a priced day":
        with unguarded():
            Spend.objects.filter(team="prior-auth").update(quantity=4_850_527)
        return "The ledger of October 2026, cost center CC-4200, team prior-auth, chat-v1, OUTPUT"
    with unguarded():
        Allocation.objects.filter(team="prior-auth").update(gpu_hours=1)
    return "The ledger of October 2026, cost center CC-4200, team prior-auth, chat-v1, WORK"


class TestAMonthThatIsNot:
    @pytest.mark.parametrize(
        "what",
        ["a line", "a statement", "a content", "a close", "a call", "a priced day", "a share"],
    )
    def test_is_found_and_named(self, october, what):
        named = changed_by_its_owner(what)
        report = verified()
        assert not report.holds
        assert any(named in one for one in report.differences), report.differences

    def test_names_the_statement_whose_calls_are_others(self, october):
        changed_by_its_owner("a call")
        (billed,) = [one for one in verified().differences if "it bills 4850526" in one]
        assert billed.startswith("Statement 2026-10-003, cost center CC-4200, team prior-auth")

    def test_is_found_in_the_archive(self, october, archive):
        archived(archive)
        row = ArchivedDay.objects.filter(status="DROPPED").order_by("day").first()
        other = ArchivedDay.objects.filter(status="DROPPED").order_by("day").last()
        with unguarded():
            ArchivedDay.objects.filter(pk=row.pk).update(
                object_key=other.object_key, version_id=other.version_id
            )
        with pytest.raises(NotWhole, match="is not what was written there"):
            verified(archive=archive, now=MUCH_LATER)

    def test_waits_for_days_that_are_not_priced_yet(self, october):
        months.really_call("chat", months.START, "late", "CC-4100", received_at=AFTER)
        HourlyUsage.objects.all().delete()
        assert any("not priced or shared out yet" in one for one in verified().differences)
