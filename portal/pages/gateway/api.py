"""The API of what the gateway does: why a call goes on or not, which calls got no answer, and whom
each model's callers are sent to.
"""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import Http404
from django.utils.timezone import now
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.common.openapi import operation
from apps.common.periods import DAY, HOUR, hour_of
from apps.gateway.effective.models import GatewayDrift
from apps.gateway.why.checks import Check
from apps.metering.unanswered import Asked, Line, lines
from portal.pages.gateway.asking import KINDS, NotThere, bound
from portal.pages.gateway.overview import route_lines, routed
from portal.pages.gateway.whose import sees_all, team_asked_for
from portal.pages.gateway.why import headline

TAG = "Gateway"
LONGEST = 62 * DAY


def _problems(form: forms.Form) -> dict[str, list[str]]:
    return {name: [str(said) for said in errors] for name, errors in form.errors.items()}


# -- Why -------------------------------------------------------------------------------------------
class CounterOutput(serializers.Serializer[Any]):
    """What a rule counts, as exact decimal text. resets_at: null where it does not begin anew."""

    used = serializers.CharField()
    held = serializers.CharField()
    limit = serializers.CharField()
    resets_at = serializers.DateTimeField(allow_null=True)


class CheckOutput(serializers.Serializer[Check]):
    """What one rule says of the call. depends: on what the call itself says."""

    rule = serializers.CharField()
    about = serializers.CharField()
    verdict = serializers.CharField()
    code = serializers.IntegerField(allow_null=True)
    says = serializers.CharField()
    todo = serializers.CharField()
    url = serializers.CharField()
    depends = serializers.BooleanField()
    counter = CounterOutput(allow_null=True)


class WhyOutput(serializers.Serializer[Any]):
    """Whether a call goes on, or went on. allowed: null where that is not known. checks: in the
    order in which a call meets them; refused_by: the first that refuses it.
    """

    caller = serializers.CharField()
    team = serializers.CharField()
    cost_center = serializers.CharField()
    model = serializers.CharField()
    at = serializers.DateTimeField()
    request_id = serializers.UUIDField(allow_null=True)
    allowed = serializers.BooleanField(allow_null=True)
    refused_by = serializers.CharField(allow_null=True)
    words = serializers.CharField()
    checks = CheckOutput(many=True)


@operation(
    "gateway_why",
    TAG,
    "Ask why a call goes on or not",
    answers=WhyOutput,
    refuses=(400, 404),
    parameters=[
        OpenApiParameter("request_id", str, description="Of a call that was made. Else:"),
        OpenApiParameter("kind", str, enum=[key for key, _ in KINDS], description="Who calls."),
        OpenApiParameter("caller", str, description="Its name; your own team where left out."),
        OpenApiParameter("model", str, description="What is called."),
        OpenApiParameter("at", datetime, description="When; now where left out."),
    ],
)
@api_view(["GET"])
def why(request: Request) -> Response:
    """Answer what each rule says of a call. Of another team than yours only those who oversee may
    ask.
    """
    user, moment = caller(request), now()
    form = bound(request.query_params, user, moment)
    if not form.is_valid():
        raise ValidationError(_problems(form))
    try:
        found = form.ask(user, moment)
    except NotThere as problem:
        raise Http404(str(problem)) from problem
    answer = found.answer
    told = {
        "caller": found.caller.words,
        "team": found.caller.team,
        "cost_center": found.caller.cost_center,
        "model": found.model,
        "at": found.at,
        "request_id": found.call.kept.event_id if found.call else None,
        "allowed": answer.is_allowed,
        "refused_by": answer.refused.rule if answer.refused else None,
        "words": headline(found),
        "checks": answer.checks,
    }
    return Response(WhyOutput(told).data)


# -- Calls without an answer -----------------------------------------------------------------------
class UnansweredOutput(serializers.Serializer[Line]):
    """How many calls of a team to a model got no answer for one reason. team, model: "" where the
    calls name none. code: null for all codes that are not counted apart.
    """

    team = serializers.CharField()
    model = serializers.CharField()
    outcome = serializers.CharField(source="reason.outcome")
    code = serializers.IntegerField(source="reason.code", allow_null=True)
    why = serializers.CharField(source="reason.words")
    calls = serializers.IntegerField()


class TimeForm(forms.Form):
    """Which hours, and whose calls."""

    since = forms.DateTimeField(required=False)
    until = forms.DateTimeField(required=False)
    team = forms.CharField(required=False)
    model = forms.CharField(required=False)

    def clean(self) -> dict[str, Any]:
        """Find the hours: the last 24 where none are given."""
        found = super().clean() or {}
        until = hour_of(found.get("until") or now() + HOUR)
        since = hour_of(found.get("since") or until - DAY)
        if not timedelta() < until - since <= LONGEST:
            self.add_error("since", f"Ask for 1 hour to {LONGEST.days} days.")
        return found | {"since": since, "until": until}


@operation(
    "gateway_unanswered",
    TAG,
    "Count calls that were refused or failed",
    answers=UnansweredOutput(many=True),
    refuses=(400, 404),
    parameters=[
        OpenApiParameter("since", datetime, description="The first hour; else 24 hours ago."),
        OpenApiParameter("until", datetime, description="The end of the last hour; now."),
        OpenApiParameter("team", str, description="Of this team alone."),
        OpenApiParameter("model", str, description="Of this model alone."),
    ],
)
@api_view(["GET"])
def unanswered(request: Request) -> Response:
    """Answer how many calls got no answer, by team, model and reason, the most first. Whole hours;
    of your own team alone where you do not oversee.
    """
    form = TimeForm(request.query_params)
    if not form.is_valid():
        raise ValidationError(_problems(form))
    values = form.cleaned_data
    team = team_asked_for(caller(request), values["team"] or None)
    asked = Asked(values["since"], values["until"], team, values["model"] or None)
    found: Any = lines(asked)
    return Response(UnansweredOutput(found, many=True).data)


# -- Routes ----------------------------------------------------------------------------------------
class DriftOutput(serializers.ModelSerializer[GatewayDrift]):
    """Something that the gateway does otherwise than the portal says. subject: the team or version
    that it is about, "" for the whole object.
    """

    class Meta:
        model = GatewayDrift
        fields = ("place", "what", "subject", "declared", "found", "since", "seen_at")


class RouteOutput(serializers.Serializer[Any]):
    """A model's route: version → share of its callers, as the portal declares it, as the cluster
    has it and as Envoy does it; null where that was not read. teams: how many may call it.
    """

    model = serializers.CharField()
    declared = serializers.DictField(child=serializers.IntegerField())
    cluster = serializers.DictField(child=serializers.IntegerField(), allow_null=True)
    envoy = serializers.DictField(child=serializers.IntegerField(), allow_null=True)
    teams = serializers.IntegerField()
    differences = DriftOutput(many=True)


@operation("gateway_routes", TAG, "List the routes of all models", answers=RouteOutput(many=True))
@api_view(["GET"])
def routes(request: Request) -> Response:
    """Answer the route of each model that is routed or may be called, by name. Differences, which
    name teams, are told to those who oversee.
    """
    moment, sees = now(), sees_all(caller(request))
    models = list(routed(moment).order_by("name"))
    found: Any = [
        {
            "model": line.model.name,
            "declared": line.says.weights,
            "cluster": _weights(line.reading.cluster if line.reading else None),
            "envoy": _weights(line.reading.envoy if line.reading else None),
            "teams": line.teams,
            "differences": line.differences if sees else [],
        }
        for line in route_lines(models, "", moment)
    ]
    return Response(RouteOutput(found, many=True).data)


def _weights(found: dict[str, Any] | None) -> dict[str, int] | None:
    return None if found is None else found.get("weights", {})
