"""The API of budgets: each with what is left of its month."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import django_filters
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.access.budgets.models import Budget, Mode, Unit
from apps.accounts.requests import caller
from apps.chargeback.budgets.limits import Balance
from apps.chargeback.budgets.orders import MonthlyBudgetInput, set_budget
from apps.chargeback.budgets.queries import balances
from apps.common.filters import Before, Filters, Since, YesOrNo
from apps.common.listing import Listing
from apps.common.money import exact
from apps.common.openapi import operation
from apps.common.pagination import NewestFirst

TAG = "Chargeback"


class BudgetQuery(Filters):
    """For programs: whose, for what, in which unit, in force or not, from when."""

    cost_center = django_filters.CharFilter(field_name="cost_center__code")
    team = django_filters.CharFilter(field_name="team__slug")
    model = django_filters.CharFilter(field_name="registered_model__name")
    unit = django_filters.ChoiceFilter(choices=Unit.choices)
    mode = django_filters.ChoiceFilter(choices=Mode.choices)
    active = YesOrNo(method="in_force")
    active_since = Since("active_from")
    active_before = Before("active_from")

    def in_force(self, rows: QuerySet[Budget], name: str, is_wanted: bool) -> QuerySet[Budget]:
        """Keep the budgets that are in force now, or those that are not."""
        in_force = Q(pk__in=Budget.objects.active(now()).values("pk"))
        return rows.filter(in_force if is_wanted else ~in_force)


class BudgetMonthOutput(serializers.Serializer[Balance]):
    """A budget's month [start, end). Amounts are exact decimal text, in the budget's unit.

    available = limit − spent − reserved − settled: by the ledger, held by calls under way, and
    settled but not in the ledger's sums: not yet, or only estimated, of an answer that was cut.
    unpriced_tokens, unpriced_requests: used, and in no amount of money.
    """

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    limit = serializers.SerializerMethodField()
    boosted = serializers.SerializerMethodField()
    spent = serializers.SerializerMethodField()
    reserved = serializers.SerializerMethodField()
    settled = serializers.SerializerMethodField()
    available = serializers.SerializerMethodField()
    unpriced_tokens = serializers.IntegerField()
    unpriced_requests = serializers.IntegerField()
    reached_thresholds = serializers.SerializerMethodField()

    def get_limit(self, left: Balance) -> str:
        """Return what may be spent in the month, boosts included."""
        return _text(left.limit)

    def get_boosted(self, left: Balance) -> str:
        """Return how much of the limit boosts add."""
        return _text(left.boosted)

    def get_spent(self, left: Balance) -> str:
        """Return what was spent by the ledger."""
        return _text(left.spent)

    def get_reserved(self, left: Balance) -> str:
        """Return the most that calls under way may use."""
        return _text(left.reserved)

    def get_settled(self, left: Balance) -> str:
        """Return what calls used that are not in the ledger's sums."""
        return _text(left.settled)

    def get_available(self, left: Balance) -> str:
        """Return what is left."""
        return _text(left.available)

    def get_reached_thresholds(self, left: Balance) -> list[int]:
        """Return the thresholds that are reached, in per cent."""
        return list(left.reached())


def _text(amount: Decimal) -> str:
    return exact(amount) if amount else "0"


class MonthlyBudgetOutput(serializers.ModelSerializer[Budget]):
    """A budget over [active_from, active_to). series: the same for all changes of it. month: null
    where it is not in force. is_enforced: whether the gateway refuses calls that it has too little
    left for; else it only warns.
    """

    cost_center = serializers.CharField(source="cost_center.code", default=None, allow_null=True)
    team = serializers.CharField(source="team.slug", default=None, allow_null=True)
    model = serializers.CharField(source="registered_model.name", default=None, allow_null=True)
    thresholds = serializers.ListField(child=serializers.IntegerField())
    set_by = serializers.CharField(source="set_by.username")
    is_enforced = serializers.SerializerMethodField()
    month = serializers.SerializerMethodField()

    class Meta:
        model = Budget
        fields = (
            "id", "series", "cost_center", "team", "model", "unit", "amount", "zone", "mode",
            "thresholds", "active_from", "active_to", "set_by", "reason", "is_enforced", "month",
        )  # fmt: skip

    def get_is_enforced(self, budget: Budget) -> bool:
        """Return whether the gateway refuses calls by it."""
        return budget.mode == Mode.HARD

    @extend_schema_field(BudgetMonthOutput(allow_null=True))
    def get_month(self, budget: Budget) -> object:
        """Return the month so far."""
        left = self.context["balances"].get(budget.pk)
        return BudgetMonthOutput(left).data if left else None


def _context(budgets: Sequence[Budget], moment: datetime) -> dict[str, object]:
    active = [budget for budget in budgets if budget.is_active(moment)]
    return {"balances": balances(active, moment)}


class Budgets(Listing):
    """List budgets."""

    queryset = Budget.objects.all()
    serializer_class = MonthlyBudgetOutput
    pagination_class = NewestFirst
    filterset_class = BudgetQuery

    @operation(
        "budgets_list", TAG, "List budgets", answers=MonthlyBudgetOutput(many=True), refuses=(400,)
    )
    def get(self, request: Request) -> Response:
        """Answer the budgets that the caller may see, with what is left of each: those in force
        now, unless `active` asks for the others.
        """
        rows = Budget.objects.visible_to(caller(request)).named()
        return self.listed(rows if "active" in request.query_params else rows.active(now()))

    @operation(
        "budgets_create",
        TAG,
        "Set a budget where there is none",
        takes=MonthlyBudgetInput,
        answers=MonthlyBudgetOutput,
        status=201,
        refuses=(404, 409),
    )
    def post(self, request: Request) -> Response:
        """Set a budget of a cost center, a team, or a team and a model, from now on."""
        made = Budget.objects.named().get(pk=set_budget(request).pk)
        return Response(MonthlyBudgetOutput(made, context=_context([made], now())).data, status=201)

    def context_of(self, page: Sequence[Budget]) -> dict[str, object]:
        """Return what is left of a page's budgets."""
        return _context(page, now())


@operation("budget_read", TAG, "Read a budget", answers=MonthlyBudgetOutput, refuses=(404,))
@api_view(["GET"])
def budget(request: Request, series: UUID) -> Response:
    """Answer one budget by its series, as it is now or was at last."""
    rows = Budget.objects.visible_to(caller(request)).named().filter(series=series)
    found = rows.order_by("-active_from").first()
    if found is None:
        raise Http404
    return Response(MonthlyBudgetOutput(found, context=_context([found], now())).data)
