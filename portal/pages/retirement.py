"""A model's retirement: who still calls it, and what its owners may do about it. Pages and API.

It joins the catalog with usage, so it stands above both.
"""

from datetime import datetime
from functools import partial
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.timezone import now
from django.views.decorators.http import require_http_methods, require_POST
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.accounts.requests import SignedIn, caller
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.audit.timeline import timeline_of
from apps.catalog.models import RegisteredModel
from apps.catalog.pages import crumbs
from apps.catalog.queries import model_for
from apps.catalog.retirement import actions, words
from apps.catalog.retirement.forms import LONGEST, SHORTEST, RetirementForm
from apps.catalog.retirement.models import Retirement, standing_of
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm, ReasonInput, reason_of
from apps.metering.retirement import LOOKED_AT, Caller, recent_callers
from apps.promotions import serving

TAG = "Catalog"
ORDERS = ("withdraw", "override")


@require_http_methods(["GET", "POST"])
def model_retirement(request: SignedIn, name: str) -> HttpResponse:
    """Show who calls a model and whether it goes; announce that it does, or move the day."""
    model, moment = model_for(request.user, name), now()
    found = standing_of(model.pk)
    form = RetirementForm(request.POST or None, model=model, now=moment, initial=_shown(found))
    if request.method == "POST" and form.is_valid():
        order = _order(model, found, form.cleaned_data, request.user, moment)
        if carry_out(request, order, "Said. Everybody who calls the model is told.") is not None:
            return redirect("catalog:model_retirement", name=name)
    return _show(request, model, found, form, ReasonForm())


def _order(
    model: RegisteredModel,
    found: Retirement | None,
    said: dict[str, Any],
    actor: User,
    moment: datetime,
) -> partial[Retirement]:
    """Return what announces the retirement, or changes the one that is announced."""
    if found is not None:
        return partial(actions.change_retirement, retirement=found, **said, actor=actor, now=moment)
    called = [one.as_data() for one in recent_callers(model, moment)]
    return partial(
        actions.announce_retirement, model=model, **said, callers=called, actor=actor, now=moment
    )


def _shown(found: Retirement | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {"last_day": found.last_day, "successor": found.successor_id, "note": found.note}


def _show(
    request: SignedIn,
    model: RegisteredModel,
    found: Retirement | None,
    form: RetirementForm,
    reasons: ReasonForm,
) -> HttpResponse:
    moment = now()
    may_retire = actions.may_retire(model, request.user)
    called = visible_callers(model, request.user, moment)
    context = {
        "model": model,
        "title": f"Retirement of {model}",
        "crumbs": crumbs(model, "Retirement"),
        "serving": serving.of_model(model, moment),
        "retirement": found,
        "badge": words.badge(found) if found else None,
        "sentence": words.sentence(found, moment) if found else "",
        "is_overdue": found is not None and found.is_overdue(moment),
        "callers": called,
        "days": LOOKED_AT.days,
        "sees_all": _sees_all(model, request.user),
        "may_retire": may_retire and not (found and found.is_retired),
        "form": form,
        "reasons": reasons,
        "events": timeline_of([("RegisteredModel", model.pk)]),
    }
    status = 422 if form.is_bound or reasons.is_bound else 200
    return render(request, "catalog/retirement.html", context, status=status)


def _sees_all(model: RegisteredModel, user: User) -> bool:
    return user.has_role(*SEES_EVERY_TEAM) or model.is_owned_by(user)


def visible_callers(model: RegisteredModel, user: User, moment: datetime) -> list[Caller]:
    """Return who called a model lately, as far as this person may see it: every team for its
    owners and those who oversee, their own for others.
    """
    found = recent_callers(model, moment)
    if _sees_all(model, user):
        return found
    return [one for one in found if user.team is not None and one.team == user.team.slug]


@require_POST
def retirement_order(request: SignedIn, name: str, order: str) -> HttpResponse:
    """Take a retirement back, or retire a model although it is still called."""
    found = _found(request.user, name, order)
    model = found.registered_model
    reasons = carry_out_with_reason(
        request, partial(_carry_out, found, order, request.user), DONE[order].format(model)
    )
    if reasons is not None:
        form = RetirementForm(model=model, now=now(), initial=_shown(found))
        return _show(request, model, found, form, reasons)
    return redirect("catalog:model_retirement", name=name)


DONE = {"withdraw": "{} stays.", "override": "{} is retired. What was granted of it ends now."}


def _carry_out(found: Retirement, order: str, actor: User, *, reason: str) -> Retirement:
    moment = now()
    if order == "withdraw":
        return actions.withdraw_retirement(retirement=found, reason=reason, actor=actor, now=moment)
    called = [one.as_data() for one in recent_callers(found.registered_model, moment)]
    return actions.override_retirement(
        retirement=found, reason=reason, callers=called, actor=actor, now=moment
    )


def _found(user: User, name: str, order: str) -> Retirement:
    """Return the retirement that an order is about, as far as this person may see it."""
    if order not in ORDERS:
        raise Http404
    found: Retirement = get_object_or_404(_standing(), registered_model=model_for(user, name))
    return found


def _standing() -> Any:
    return Retirement.objects.standing().select_related(
        "registered_model__owner_team", "successor", "announced_by", "ended_by"
    )


# -- The API ---------------------------------------------------------------------------------------


class RetirementInput(serializers.Serializer[Any]):
    """Body of a retirement. last_day: the last day on which the model may be called, UTC.
    successor: the name of a model that stays, or null.
    """

    last_day = serializers.DateField()
    successor = serializers.SlugRelatedField(
        slug_field="name", queryset=RegisteredModel.objects.all(), allow_null=True, default=None
    )
    note = serializers.CharField(min_length=SHORTEST, max_length=LONGEST)


class CallerOutput(serializers.Serializer[Any]):
    """A team that called the model in the last thirty days. others: refused or failed calls."""

    team = serializers.CharField()
    answered = serializers.IntegerField()
    others = serializers.IntegerField()
    last_at = serializers.DateTimeField()


class RetirementOutput(serializers.ModelSerializer[Retirement]):
    """A retirement, and who called the model in the last thirty days, as far as the caller may see
    it. end_reason: why it ended, or was taken back.
    """

    model = serializers.CharField(source="registered_model.name")
    successor = serializers.CharField(source="successor.name", default=None, allow_null=True)
    callers = serializers.SerializerMethodField()

    def get_callers(self, row: Retirement) -> list[dict[str, Any]]:
        """Return who calls it."""
        found = visible_callers(row.registered_model, self.context["user"], now())
        return list(CallerOutput(found, many=True).data)

    class Meta:
        model = Retirement
        fields = (
            "model", "status", "last_day", "successor", "note", "announced_at", "ended_at",
            "end_reason", "callers",
        )  # fmt: skip


def _answer(request: Request, row: Retirement, status: int = 200) -> Response:
    return Response(RetirementOutput(row, context={"user": caller(request)}).data, status=status)


class ModelRetirement(APIView):
    """A model's retirement."""

    @operation(
        "retirement", TAG, "Read whether a model goes", answers=RetirementOutput, refuses=(404,)
    )
    def get(self, request: Request, name: str) -> Response:
        """Answer the retirement that is announced or carried out; 404 where the model stays."""
        model = model_for(caller(request), name)
        return _answer(request, get_object_or_404(_standing(), registered_model=model))

    @operation(
        "retirement_announce",
        TAG,
        "Announce that a model goes, or change what was announced",
        takes=RetirementInput,
        answers=RetirementOutput,
        refuses=(404, 409),
    )
    def put(self, request: Request, name: str) -> Response:
        """Announce a retirement, or move its day."""
        model = model_for(caller(request), name)
        body = RetirementInput(data=request.data)
        body.is_valid(raise_exception=True)
        found = standing_of(model.pk)
        if found is not None:
            found.registered_model = model
        order = _order(model, found, dict(body.validated_data), caller(request), now())
        return _answer(request, order())


@operation(
    "retirement_order",
    TAG,
    "Let a model stay, or retire it although it is still called",
    takes=ReasonInput,
    answers=RetirementOutput,
    refuses=(404, 409),
    parameters=[choice("order", ORDERS, "What is to happen.")],
)
@api_view(["POST"])
def order_api(request: Request, name: str, order: str) -> Response:
    """Take a retirement back, or override what stands in its way."""
    found = _found(caller(request), name, order)
    made = _carry_out(found, order, caller(request), reason=reason_of(request.data))
    return _answer(request, made)
