"""The API of what is asked and decided about budgets: the same actions as the pages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.access.budgets import actions
from apps.access.budgets.models import Boost, Budget, BudgetChange, Mode, Unit
from apps.access.budgets.terms import Terms
from apps.accounts.models import CostCenter, Team, User
from apps.accounts.requests import caller
from apps.catalog.models import RegisteredModel
from apps.common.openapi import choice, operation
from apps.common.reasons import LONGEST, SHORTEST, ReasonInput, reason_of
from apps.common.zones import ZONES

TAG = "Chargeback"
DECISIONS = ("approve", "reject", "withdraw")


class TermsInput(serializers.Serializer[Any]):
    """What a budget says. amount: a month, in its unit. thresholds: per cent of the limit."""

    amount = serializers.DecimalField(max_digits=20, decimal_places=2)
    zone = serializers.ChoiceField(choices=list(ZONES.items()), default="UTC")
    mode = serializers.ChoiceField(choices=Mode.choices, default=Mode.HARD)
    thresholds = serializers.ListField(child=serializers.IntegerField(), default=[80, 100])
    reason = serializers.CharField(min_length=SHORTEST, max_length=LONGEST)

    def terms(self) -> Terms:
        """Return the terms. Call it after is_valid()."""
        values = self.validated_data
        thresholds = tuple(values["thresholds"])
        return Terms(values["amount"], values["zone"], values["mode"], thresholds)


class MonthlyBudgetInput(TermsInput):
    """A budget where there is none: of a cost center, or of a team, for one model or all."""

    cost_center = serializers.CharField(max_length=32, required=False)
    team = serializers.CharField(max_length=63, required=False)
    model = serializers.CharField(max_length=40, required=False)
    unit = serializers.ChoiceField(choices=Unit.choices)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take one of both scopes."""
        if ("cost_center" in attrs) == ("team" in attrs):
            raise serializers.ValidationError("Name a cost center or a team.")
        if "cost_center" in attrs and "model" in attrs:
            raise serializers.ValidationError("A cost center's budget is for all models.")
        return attrs


class BoostInput(serializers.Serializer[Any]):
    """More for a while: amount, in the budget's unit, in each month until the end of last_day."""

    amount = serializers.DecimalField(max_digits=20, decimal_places=2)
    last_day = serializers.DateField(help_text="In the budget's zone.")
    reason = serializers.CharField(min_length=SHORTEST, max_length=LONGEST)


class _AskedOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    series = serializers.UUIDField(source="budget.series")
    amount = serializers.DecimalField(max_digits=30, decimal_places=2)
    unit = serializers.CharField(source="budget.unit")
    justification = serializers.CharField()
    requested_by = serializers.CharField(source="requested_by.username")
    requested_at = serializers.DateTimeField()
    status = serializers.CharField()
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_reason = serializers.CharField()


class BudgetChangeOutput(_AskedOutput):
    """A change of a budget that somebody asked for. ends: it asks for none any more."""

    zone = serializers.CharField()
    mode = serializers.CharField()
    thresholds = serializers.ListField(child=serializers.IntegerField())
    ends = serializers.BooleanField()


class BoostOutput(_AskedOutput):
    """A boost that somebody asked for. over_at: when it ends, or was ended before its last day."""

    last_day = serializers.DateField()
    over_at = serializers.DateTimeField()


class ChangedOutput(serializers.Serializer[Any]):
    """What became of a change: where nobody else had to be asked, series is in force as it says;
    else it waits as `change`.
    """

    series = serializers.UUIDField()
    is_in_force = serializers.BooleanField()
    change = BudgetChangeOutput(allow_null=True)


def set_budget(request: Request) -> Budget:
    """Set a budget where there is none, as the body says. Raises Http404 for unknown names."""
    body = MonthlyBudgetInput(data=request.data)
    body.is_valid(raise_exception=True)
    actor, named = caller(request), body.validated_data
    return actions.set_budget(
        cost_center=_named(CostCenter, "code", named.get("cost_center")),
        team=_named(Team, "slug", named.get("team")),
        model=_named(RegisteredModel, "name", named.get("model")),
        unit=named["unit"],
        terms=body.terms(),
        reason=named["reason"],
        actor=actor,
        now=now(),
    )


def _named(model: Any, field: str, name: str | None) -> Any:
    return None if name is None else get_object_or_404(model, **{field: name})


def _budget(user: User, series: UUID) -> Budget:
    rows = Budget.objects.active(now()).visible_to(user).named()
    return get_object_or_404(rows, series=series)


@dataclass(frozen=True)
class _Sort:
    """What is asked of a budget: changes, or boosts."""

    model: type[BudgetChange] | type[Boost]
    output: type[_AskedOutput]
    approve: Callable[..., object]

    def of(self, user: User, pk: UUID) -> Any:
        """Return one that the person may see. Raises Http404."""
        return get_object_or_404(self.model.objects.visible_to(user).named(), pk=pk)

    def answer(self, request: Request, pk: UUID, status: int = 200) -> Response:
        """Answer one as it is now."""
        return Response(self.output(self.of(caller(request), pk)).data, status=status)

    def decide(self, request: Request, pk: UUID, decision: str) -> Response:
        """Carry one of DECISIONS out, and answer what became of it. Raises Http404 for others."""
        who = caller(request)
        item = self.of(who, pk)
        actions_by_name = {"approve": self.approve, "reject": actions.reject}
        if action := actions_by_name.get(decision):
            action(request=item, approver=who, reason=reason_of(request.data), now=now())
        elif decision == "withdraw":
            actions.withdraw(request=item, actor=who, now=now())
        else:
            raise Http404
        return self.answer(request, pk)


CHANGES = _Sort(BudgetChange, BudgetChangeOutput, actions.approve_change)
BOOSTS = _Sort(Boost, BoostOutput, actions.approve_boost)


@operation(
    "budget_changes_create",
    TAG,
    "Change a budget, or ask for its change",
    takes=TermsInput,
    answers=ChangedOutput,
    refuses=(404, 409),
)
@api_view(["POST"])
def change(request: Request, series: UUID) -> Response:
    """Change what a budget says. Where more could be spent, or the caller does not set it, another
    person decides.
    """
    body, who = TermsInput(data=request.data), caller(request)
    body.is_valid(raise_exception=True)
    made = actions.change_budget(
        budget=_budget(who, series),
        terms=body.terms(),
        reason=body.validated_data["reason"],
        actor=who,
        now=now(),
    )
    asked = CHANGES.of(who, made.pk) if isinstance(made, BudgetChange) else None
    told = {"series": series, "is_in_force": asked is None, "change": asked}
    return Response(ChangedOutput(told).data)


@operation(
    "budget_end",
    TAG,
    "Ask to end a budget",
    takes=ReasonInput,
    answers=BudgetChangeOutput,
    status=201,
    refuses=(404, 409),
)
@api_view(["POST"])
def end(request: Request, series: UUID) -> Response:
    """Ask to end a budget; another person decides."""
    who = caller(request)
    budget, reason = _budget(who, series), reason_of(request.data)
    made = actions.request_end(budget=budget, reason=reason, requester=who, now=now())
    return CHANGES.answer(request, made.pk, 201)


@operation(
    "budget_boosts_create",
    TAG,
    "Ask for a boost of a budget",
    takes=BoostInput,
    answers=BoostOutput,
    status=201,
    refuses=(404, 409),
)
@api_view(["POST"])
def boost(request: Request, series: UUID) -> Response:
    """Ask for more for a while; another person decides."""
    body, who = BoostInput(data=request.data), caller(request)
    body.is_valid(raise_exception=True)
    made = actions.request_boost(
        budget=_budget(who, series), requester=who, now=now(), **body.validated_data
    )
    return BOOSTS.answer(request, made.pk, 201)


@operation(
    "budget_change", TAG, "Read a change of a budget", answers=BudgetChangeOutput, refuses=(404,)
)
@api_view(["GET"])
def change_read(request: Request, pk: UUID) -> Response:
    """Answer one change."""
    return CHANGES.answer(request, pk)


@operation("boost", TAG, "Read a boost of a budget", answers=BoostOutput, refuses=(404,))
@api_view(["GET"])
def boost_read(request: Request, pk: UUID) -> Response:
    """Answer one boost."""
    return BOOSTS.answer(request, pk)


@operation(
    "budget_change_decide",
    TAG,
    "Decide about a change of a budget, or withdraw it",
    takes=ReasonInput(required=False),
    answers=BudgetChangeOutput,
    refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS], "What to do with it.")],
)
@api_view(["POST"])
def decide_change(request: Request, pk: UUID, decision: str) -> Response:
    """Approve a change, which is in force then, or reject it, with a reason; withdraw it
    without.
    """
    return CHANGES.decide(request, pk, decision)


@operation(
    "boost_decide",
    TAG,
    "Decide about a boost of a budget, withdraw it, or end it",
    takes=ReasonInput(required=False),
    answers=BoostOutput,
    refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, "end"], "What to do with it.")],
)
@api_view(["POST"])
def decide_boost(request: Request, pk: UUID, decision: str) -> Response:
    """Approve or reject a boost, or end one that is in force before its last day, with a reason;
    withdraw one's own without.
    """
    if decision != "end":
        return BOOSTS.decide(request, pk, decision)
    who = caller(request)
    item = BOOSTS.of(who, pk)
    actions.end_boost(boost=item, actor=who, reason=reason_of(request.data), now=now())
    return BOOSTS.answer(request, pk)
