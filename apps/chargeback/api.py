"""The API of chargeback: the page's own lines."""

from datetime import MAXYEAR, MINYEAR, date, datetime
from typing import Any

from django.http import Http404
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.chargeback import queries
from apps.common.money import exact
from apps.common.openapi import operation
from apps.common.periods import month_bounds

TAG = "Chargeback"


class LineOutput(serializers.Serializer[queries.Line]):
    """One line of a month. list_cost_usd: exact decimal text; null where no rate was in force."""

    cost_center = serializers.CharField()
    team = serializers.CharField()
    model = serializers.CharField()
    version = serializers.CharField()
    day = serializers.DateField(allow_null=True)
    metered_calls = serializers.IntegerField()
    unmetered_calls = serializers.IntegerField()
    refused_calls = serializers.IntegerField()
    failed_calls = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    cached_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    unpriced_tokens = serializers.IntegerField()
    list_cost_usd = serializers.SerializerMethodField()

    def get_list_cost_usd(self, line: queries.Line) -> str | None:
        """Return the cost with every digit that counts."""
        return None if line.list_cost_usd is None else exact(line.list_cost_usd)


class MonthOutput(serializers.Serializer[Any]):
    """A month and its lines."""

    month = serializers.CharField()
    currency = serializers.CharField()
    lines = LineOutput(many=True)


@operation("chargeback_month", TAG, "Read a month", answers=MonthOutput, refuses=(404,))
@api_view(["GET"])
def month(request: Request, month: str) -> Response:
    """Answer a month's lines, "2026-11"; costs as decimal text in USD, null where no rate was in
    force.
    """
    start, end = month_bounds(parse_month(month))
    lines = queries.lines(start=start, end=end, scope=queries.scope_of(caller(request)))
    return Response(MonthOutput({"month": month, "currency": "USD", "lines": lines}).data)


def parse_month(text: str) -> date:
    """Return the first day of "YYYY-MM". Raises Http404 for anything else, and for years at the
    calendar's ends.
    """
    try:
        # a date has no zone
        found = datetime.strptime(f"{text}-01", "%Y-%m-%d").date()  # noqa: DTZ007
    except ValueError:
        raise Http404("A month is written as 2026-11.") from None
    if not MINYEAR < found.year < MAXYEAR:  # the months before and after are asked for, too
        raise Http404("A month is written as 2026-11.")
    return found
