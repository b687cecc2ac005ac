"""Closing the bench's months, by the product's own actions, and the rows that its pages show."""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from tests.benchmarks.chargeback.company import Size
from tests.benchmarks.chargeback.pages import MODEL, TEAM, Subjects
from tests.benchmarks.report import Result
from tests.benchmarks.stopwatch import timed

CLOSE_SECONDS = 300
UNWATCHED = "No engine was watched then: the bench has engine counters of its last month alone."
# what the engines of every model counted in each hour: what was metered of them
ENGINES = """
INSERT INTO metering_enginehour
    (hour, version, prompt_tokens, generation_tokens, is_whole, recorded_at)
SELECT hours.hour, 'model-' || m || '-v1', COALESCE(u.input, 0), COALESCE(u.output, 0), true, now()
FROM generate_series(%s::timestamptz, %s::timestamptz - interval '1 hour', '1 hour') hours (hour)
CROSS JOIN generate_series(1, %s) m
LEFT JOIN (
    SELECT hour, version, SUM(input_tokens) AS input, SUM(output_tokens) AS output
    FROM metering_hourlyusage GROUP BY 1, 2
) u ON u.hour = hours.hour AND u.version = 'model-' || m || '-v1'
"""


class Closes:
    """The months that are over: all but the last one are closed, and that one waits."""

    def __init__(self, size: Size, now: datetime) -> None:
        self.size, self.now = size, now
        *self.before, self.last = size.all_months[:-1]
        self.asking = 0.0

    def ask(self) -> list[Result]:
        """Close the months before, and ask for the last one; return how long that takes. The
        ratio is to the first month, which has no closed one before it.
        """
        self._engines()
        taken = [timed(lambda month=month: self._both(month)) for month in self.before]
        self.asking = timed(lambda: self.item)
        return [
            Result(
                f"close a month with {len(taken) - 1} closed ones before it",
                round(taken[-1], 1),
                "s",
                CLOSE_SECONDS,
                round(taken[-1] / taken[0], 1),
            )
        ]

    def close(self) -> list[Result]:
        """Close the last month; return how long asking and closing take together."""
        taken = self.asking + timed(lambda: self._close(self.item))
        lines = sum(each.lines.count() for each in self.item.statements.all())
        words = f"close {self.last:%B %Y}: {lines:,} lines, {len(self.before)} closed before it"
        return [Result(words, round(taken, 1), "s", CLOSE_SECONDS)]

    @cached_property
    def item(self) -> Any:
        """Return the request for the last month's close."""
        return self._ask(self.last)

    def subjects(self) -> Subjects:
        """Return what the pages are about."""
        from apps.access.budgets.models import Budget
        from apps.access.models import Grant
        from apps.accounts.models import Team
        from apps.catalog.models import RegisteredModel
        from apps.chargeback.closing.models import Statement
        from apps.chargeback.rating import Prices
        from tests.chargeback.pricing import propose

        team, model = Team.objects.get(slug=TEAM), RegisteredModel.objects.get(name=MODEL)
        budget = Budget.objects.get(team=team, registered_model=None)
        hour = self.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        prices = Prices(Decimal("0.3"), Decimal("0.03"), Decimal("0.9"))
        change = propose(model, prices, hour, now=self.now)
        month = {"month": f"{self.last:%Y-%m}"}
        series = {"series": budget.series}
        return Subjects(
            month=self.last,
            values={
                "month_close_create": month,
                "month_close_detail": {"pk": self.item.pk},
                "statement_detail": {"number": Statement.objects.order_by("number").last().number},
                "focus_export": month,
                "price_change_detail": {"pk": change.pk},
                "grant_use": {"pk": Grant.objects.get(team=team).pk},
                "budget_detail": series,
                "budget_change": series,
                "boost_create": series,
            },
        )

    def _both(self, month: Any) -> None:
        self._close(self._ask(month))

    def _ask(self, month: Any) -> Any:
        from apps.chargeback.closing import actions
        from tests.chargeback.pricing import finance

        return actions.ask_to_close(
            month=month,
            requester=finance("asks"),
            justification="All of it was checked.",
            reasons={"RECONCILIATION": UNWATCHED},
            now=self.now,
        )

    def _close(self, item: Any) -> None:
        from apps.chargeback.closing import actions
        from tests.chargeback.pricing import finance

        approver = finance("closes")
        actions.close_month(item=item, approver=approver, reason="Agreed.", now=self.now)

    def _engines(self) -> None:
        """Let engines have counted what was metered in the last month."""
        from django.db import connection

        from apps.common.periods import month_bounds

        with connection.cursor() as cursor:
            cursor.execute(ENGINES, [*month_bounds(self.last), self.size.models])
