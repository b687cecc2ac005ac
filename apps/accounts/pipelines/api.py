"""The API of pipelines: exchanging a run's own token, the rules in force, and the same actions as
the pages.
"""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Team, User
from apps.accounts.pipelines import actions, exchange, queries
from apps.accounts.pipelines.filters import ChangeQuery
from apps.accounts.pipelines.models import PipelineChange, PipelineRule
from apps.accounts.pipelines.rules import ABILITIES, EVENTS, TrustRule
from apps.accounts.provider import ProviderUnavailable
from apps.accounts.requests import caller
from apps.accounts.tokens import PIPELINES, TokenRefused, verify
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out_word
from apps.common.outputs import ASKED, AskedOutput
from apps.common.pagination import NewestRequests
from apps.common.reasons import ReasonInput, reason_of

TAG = "Pipelines"
RELATED = ("team", "before", "requested_by", "decided_by")
DECISIONS = {"approve": actions.approve_rule, "reject": actions.reject_rule}
ORDERS = {"withdraw": actions.withdraw_rule}


class TokenInput(serializers.Serializer[Any]):
    """Body of an exchange. token: GitHub Actions' OIDC token of this run, for this portal."""

    token = serializers.CharField(max_length=16_384)


class TokenOutput(serializers.Serializer[Any]):
    """A token of this portal for the run. expires_in: seconds."""

    access_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()
    pipeline = serializers.CharField()
    acts_for = serializers.CharField(help_text="The user name of whoever pushed.")


class _NotBelieved(APIException):
    status_code = 401


class _Unavailable(APIException):
    status_code = 503
    default_code = "issuer_unavailable"

    def __init__(self, error: ProviderUnavailable) -> None:
        super().__init__(str(error))
        self.wait = error.retry_after


@operation(
    "pipelines_token",
    TAG,
    "Exchange a run's own token",
    takes=TokenInput,
    answers=TokenOutput,
)
@api_view(["POST"])
@authentication_classes([])
@permission_classes([])
def token(request: Request) -> Response:
    """Exchange the OIDC token of a run of GitHub Actions, once, for a token of this portal that is
    good for a quarter of an hour. The refusal says what in it does not fit.
    """
    body = TokenInput(data=request.data)
    body.is_valid(raise_exception=True)
    try:
        claims = verify(
            body.validated_data["token"], audience=settings.PIPELINE_AUDIENCE, source=PIPELINES
        )
        found = exchange.sign_in_run(claims=claims, now=now())
    except TokenRefused as error:
        raise _NotBelieved(str(error), code=error.reason) from error
    except ProviderUnavailable as error:
        raise _Unavailable(error) from error
    run = found.run
    answer = {
        "access_token": found.token,
        "token_type": "Bearer",
        "expires_in": int(exchange.LIFETIME.total_seconds()),
        "pipeline": run.pipeline_rule.name,
        "acts_for": run.account.acts_for.username if run.account.acts_for else "",
    }
    return Response(TokenOutput(answer).data)


class PusherField(serializers.Serializer[Any]):
    """Whose pushes count. github_id: the number of the account at GitHub; username: here."""

    login = serializers.CharField(max_length=39)
    github_id = serializers.CharField(max_length=20)
    username = serializers.CharField(max_length=150)


def _texts(longest: int) -> serializers.Field[Any, Any, Any, Any]:
    return serializers.ListField(child=serializers.CharField(max_length=longest), max_length=50)


class RuleField(serializers.Serializer[Any]):
    """What a token must say: exact values. subjects: of `sub`, in either form or in both."""

    issuer = serializers.CharField(max_length=200)
    audience = serializers.CharField(max_length=200)
    repository = serializers.CharField(max_length=150)
    repository_id = serializers.CharField(max_length=20)
    owner_id = serializers.CharField(max_length=20)
    subjects = _texts(400)
    ref = serializers.CharField(max_length=220)
    environment = serializers.CharField(max_length=100, allow_blank=True, default="")
    workflow = serializers.CharField(max_length=130, allow_blank=True, default="")
    events = serializers.ListField(child=serializers.ChoiceField(choices=EVENTS), max_length=9)
    may = serializers.ListField(child=serializers.ChoiceField(choices=ABILITIES), max_length=9)
    models = _texts(40)
    pushers = PusherField(many=True)


class PipelineOutput(serializers.ModelSerializer[PipelineRule]):
    """A pipeline by its rule in force. digest: SHA-256 over the canonical JSON of the rule."""

    team = serializers.CharField(source="team.slug")
    rule = RuleField(source="body")

    class Meta:
        model = PipelineRule
        fields = ("name", "team", "number", "digest", "active_from", "rule")


@operation("pipelines_list", TAG, "List pipelines", answers=PipelineOutput(many=True))
@api_view(["GET"])
def pipelines(request: Request) -> Response:
    """Answer the pipelines that are let in, with their rules, to those who look after them."""
    who = caller(request)
    visible = set(PipelineRule.objects.visible_to(who).values_list("pk", flat=True))
    found = [rule for rule in queries.in_force() if rule.pk in visible]
    return Response(PipelineOutput(found, many=True).data)


class PipelineChangeInput(serializers.Serializer[Any]):
    """Body of a proposed rule: all of it, what stays too."""

    name = serializers.CharField(max_length=40)
    team = serializers.SlugRelatedField(slug_field="slug", queryset=Team.objects.all())
    rule = RuleField()
    justification = serializers.CharField(min_length=10, max_length=2000)

    def validate_rule(self, body: dict[str, Any]) -> TrustRule:
        """Return the rule."""
        return TrustRule.of({**body, "pushers": [dict(one) for one in body["pushers"]]})


class PipelineChangeOutput(AskedOutput[PipelineChange]):
    """A proposed rule. before: the number of the rule that it replaces, null for a new pipeline."""

    team = serializers.CharField(source="team.slug")
    rule = RuleField(source="body")
    before = serializers.IntegerField(source="before.number", default=None, allow_null=True)

    class Meta:
        model = PipelineChange
        fields = ("id", "name", "team", "rule", "before", *ASKED)


class PipelineChanges(Listing):
    """List and make proposed rules."""

    queryset = PipelineChange.objects.all()
    serializer_class = PipelineChangeOutput
    pagination_class = NewestRequests
    filterset_class = ChangeQuery

    @operation(
        "pipeline_changes_list",
        TAG,
        "List proposed rules of pipelines",
        answers=PipelineChangeOutput(many=True),
        refuses=(400,),
    )
    def get(self, request: Request) -> Response:
        """Answer the proposed rules that the caller may see, newest first."""
        rows = PipelineChange.objects.visible_to(caller(request))
        return self.listed(rows.select_related(*RELATED))

    @operation(
        "pipeline_changes_create",
        TAG,
        "Propose the rule of a pipeline",
        takes=PipelineChangeInput,
        answers=PipelineChangeOutput,
        status=201,
        refuses=(409,),
    )
    def post(self, request: Request) -> Response:
        """Propose a rule; another person puts it in force or not."""
        actions.permit_proposing(caller(request))
        body = PipelineChangeInput(data=request.data)
        body.is_valid(raise_exception=True)
        made = actions.propose_rule(
            requester=caller(request), now=now(), **dict(body.validated_data)
        )
        return Response(PipelineChangeOutput(made).data, status=201)


def _change(who: User, pk: UUID) -> PipelineChange:
    rows = PipelineChange.objects.visible_to(who).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


@operation(
    "pipeline_change",
    TAG,
    "Read a proposed rule of a pipeline",
    answers=PipelineChangeOutput,
    refuses=(404,),
)
@api_view(["GET"])
def pipeline_change(request: Request, pk: UUID) -> Response:
    """Answer one proposed rule."""
    return Response(PipelineChangeOutput(_change(caller(request), pk)).data)


@operation(
    "pipeline_change_decide",
    TAG,
    "Decide about the rule of a pipeline, or withdraw it",
    takes=ReasonInput(required=False),
    answers=PipelineChangeOutput,
    refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, *ORDERS], "What to do with it.")],
)
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Approve a rule, which puts it in force, or reject it, with a reason; withdraw it without."""
    who = caller(request)
    item = _change(who, pk)
    carry_out_word(
        decision, decisions=DECISIONS, orders=ORDERS, who=who, body=request.data, now=now(),
        change=item,
    )  # fmt: skip
    return Response(PipelineChangeOutput(_change(who, pk)).data)


@operation(
    "pipeline_end",
    TAG,
    "Shut a pipeline out",
    takes=ReasonInput,
    answers=PipelineOutput,
    refuses=(404, 409),
)
@api_view(["POST"])
def end(request: Request, name: str) -> Response:
    """Shut a pipeline out at once, with a reason; another rule lets it in again."""
    who = caller(request)
    rows = PipelineRule.objects.visible_to(who).newest().select_related("team")
    rule = get_object_or_404(rows, name=name)
    actions.end_pipeline(rule=rule, actor=who, reason=reason_of(request.data), now=now())
    return Response(PipelineOutput(rule).data)
