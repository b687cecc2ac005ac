"""The API of chargeback: the page's own lines."""

from dataclasses import fields
from datetime import MAXYEAR, MINYEAR, date, datetime
from decimal import Decimal
from typing import Any

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.chargeback import costs, queries
from apps.chargeback.method import METHOD
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
    embedding_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    rerank_requests = serializers.IntegerField()
    unpriced_tokens = serializers.IntegerField()
    unpriced_requests = serializers.IntegerField()
    estimated_calls = serializers.IntegerField()
    estimated_input_tokens = serializers.IntegerField()
    estimated_output_tokens = serializers.IntegerField()
    list_cost_usd = serializers.SerializerMethodField()
    estimated_cost_usd = serializers.SerializerMethodField()

    def get_list_cost_usd(self, line: queries.Line) -> str | None:
        """Return the cost with every digit that counts."""
        return None if line.list_cost_usd is None else exact(line.list_cost_usd)

    def get_estimated_cost_usd(self, line: queries.Line) -> str:
        """Return the part of it that is of estimated usage."""
        return exact(line.estimated_cost_usd)


@extend_schema_field(OpenApiTypes.STR)
class Amount(serializers.Field[Decimal, str, str, Decimal]):
    """An amount as decimal text with every digit that counts."""

    def to_representation(self, value: Decimal) -> str:
        """Return the text."""
        return exact(value)


class ModelCostOutput(serializers.Serializer[costs.ModelCost]):
    """A model's machines beside its price list. Amounts are null where they are not known."""

    model = serializers.CharField()
    cards = serializers.ListField(child=serializers.CharField())
    list_usd = Amount(allow_null=True)
    real_usd = Amount(allow_null=True)
    margin_usd = Amount(allow_null=True)
    gpu_hours = Amount(source="real.gpu_hours", default=None, allow_null=True)
    work_usd = Amount(source="real.work_usd", default=None, allow_null=True)
    idle_usd = Amount(source="real.idle_usd", default=None, allow_null=True)
    start_usd = Amount(source="real.start_usd", default=None, allow_null=True)
    unpriced_gpu_hours = Amount(source="real.unpriced_gpu_hours", default=None, allow_null=True)


class MachinesOutput(serializers.Serializer[Any]):
    """What a month's machines cost, in USD: total_usd is the sum of the six amounts after it, null
    where no machine had a price. until: how far days are shared out; null: none is.
    """

    method = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)
    total_usd = Amount(allow_null=True)
    work_usd = Amount()
    idle_usd = Amount()
    start_usd = Amount()
    unallocated_usd = Amount()
    platform_usd = Amount()
    residual_usd = Amount()
    gpu_hours = Amount()
    unpriced_gpu_hours = Amount()
    models = ModelCostOutput(many=True)


class MonthOutput(serializers.Serializer[Any]):
    """A month, its lines, and what its machines cost."""

    month = serializers.CharField()
    currency = serializers.CharField()
    lines = LineOutput(many=True)
    machines = MachinesOutput()


@operation("chargeback_month", TAG, "Read a month", answers=MonthOutput, refuses=(404,))
@api_view(["GET"])
def month(request: Request, month: str) -> Response:
    """Answer a month's lines, "2026-11", and what its machines cost; costs as decimal text in USD,
    null where no rate was in force.
    """
    start, end = month_bounds(parse_month(month))
    scope = queries.scope_of(caller(request))
    lines = queries.lines(start=start, end=end, scope=scope)
    found = costs.machines(start=start, end=end, scope=scope, listed=lines)
    machines = {field.name: getattr(found.total, field.name) for field in fields(costs.Costs)} | {
        "method": METHOD.id,
        "until": costs.known(start=start, end=end).until,
        "total_usd": found.total.total_usd,
        "models": found.models,
    }
    said = {"month": month, "currency": "USD", "lines": lines, "machines": machines}
    return Response(MonthOutput(said).data)


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
