"""The API of requests: the same actions as the pages. What stands above this app (handed.py) comes
in with the address.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.access import actions, wishes, work
from apps.access.filters import RequestQuery
from apps.access.forms import OFFICE
from apps.access.handed import EstimateOf, SeenOf, UseOf
from apps.access.models import MOST_CALLS_AT_ONCE, AccessRequest, Grant, ServiceClass
from apps.accounts.models import Team
from apps.accounts.requests import caller
from apps.catalog.models import DataClass, RegisteredModel
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.outputs import AskedOutput
from apps.common.pagination import NewestRequests
from apps.common.reasons import ReasonInput, reason_of

TAG = "Access"
DECISIONS = {"approve": actions.approve_request, "reject": actions.reject_request}
RELATED = ("registered_model", "team", "requested_by", "decided_by")


def _not_handed_in(*_: object) -> NoReturn:
    raise NotImplementedError("portal/pages/access_urls.py hands it in.")


class WorkInput(serializers.Serializer[Any]):
    """What the team expects to do. The tokens of a page: both, or neither, which takes those of an
    average call of the last four weeks.
    """

    packets_a_day = serializers.IntegerField()
    pages_a_packet = serializers.IntegerField()
    hours_a_day = serializers.IntegerField(default=OFFICE["hours_a_day"])
    days_a_week = serializers.IntegerField(default=OFFICE["days_a_week"])
    input_tokens_a_page = serializers.IntegerField(default=None, allow_null=True)
    output_tokens_a_page = serializers.IntegerField(default=None, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Judge it by the rules of the form. Whether something is measured shows later."""
        if wrong := work.problems(attrs, is_measured=True):
            raise serializers.ValidationError(wrong)
        return attrs


class WishInput(serializers.Serializer[Any]):
    """Body of a new request. expected_work: left out, its owner reads that it was not told."""

    model = serializers.SlugField()
    purpose = serializers.CharField(
        min_length=wishes.SHORTEST_PURPOSE, max_length=wishes.LONGEST_PURPOSE
    )
    data_class = serializers.ChoiceField(choices=DataClass.choices)
    tokens_per_minute = serializers.IntegerField(
        min_value=1, max_value=wishes.HIGHEST_TOKENS_PER_MINUTE
    )
    monthly_budget_usd = serializers.DecimalField(
        max_digits=12, decimal_places=2, min_value=Decimal("0.01")
    )
    service_class = serializers.ChoiceField(
        choices=ServiceClass.choices, default=ServiceClass.INTERACTIVE.value
    )
    calls_at_once = serializers.IntegerField(  # null: any number
        min_value=1, max_value=MOST_CALLS_AT_ONCE, default=None, allow_null=True
    )
    expires_date = serializers.DateField()  # the last day of access, UTC
    renews = serializers.UUIDField(required=False)  # a grant of the team that this replaces
    expected_work = WorkInput(required=False)


class AccessRequestOutput(AskedOutput[AccessRequest]):
    """One request. expected: the work and what it comes to; use: what the grant to be renewed was
    used for; both as they were seen when it was asked, null where they were not told.
    decision_seen: both as they lay before whoever decided.
    """

    model = serializers.CharField(source="registered_model.name")
    team = serializers.CharField(source="team.slug")
    expected = serializers.DictField(allow_null=True)
    use = serializers.DictField(allow_null=True)
    decision_seen = serializers.DictField(allow_null=True)

    class Meta:
        model = AccessRequest
        fields = (
            "id",
            "model",
            "team",
            "requested_by",
            "requested_at",
            "purpose",
            "data_class",
            "tokens_per_minute",
            "service_class",
            "calls_at_once",
            "monthly_budget_usd",
            "expires_date",
            "status",
            "decided_by",
            "decided_at",
            "decision_reason",
            "renews",
            "expected",
            "use",
            "decision_seen",
        )


class AccessRequests(Listing):
    """List and make requests.

    estimate, use_of: what expected work comes to, and what a grant was used for.
    """

    estimate: EstimateOf = staticmethod(_not_handed_in)
    use_of: UseOf = staticmethod(_not_handed_in)
    queryset = AccessRequest.objects.select_related(*RELATED)
    serializer_class = AccessRequestOutput
    pagination_class = NewestRequests
    filterset_class = RequestQuery

    @operation(
        "access_requests_list",
        TAG,
        "List access requests",
        answers=AccessRequestOutput(many=True),
        refuses=(400,),
    )
    def get(self, request: Request) -> Response:
        """Answer the requests the caller may see."""
        rows = AccessRequest.objects.visible_to(caller(request))
        return self.listed(rows.select_related(*RELATED))

    @operation(
        "access_requests_create",
        TAG,
        "Ask for access",
        takes=WishInput,
        answers=AccessRequestOutput,
        status=201,
        refuses=(404, 409),
    )
    def post(self, request: Request) -> Response:
        """Ask for a model in the name of the caller's team."""
        body = WishInput(data=request.data)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        model = get_object_or_404(
            RegisteredModel.objects.visible_to(caller(request)), name=values.pop("model")
        )
        renews, told = values.pop("renews", None), values.pop("expected_work", None)
        grant = renews and get_object_or_404(Grant.objects.renewable_by(caller(request)), pk=renews)
        moment = now()
        made = actions.submit_request(
            model=model,
            wish=wishes.Wish(**values),
            requester=caller(request),
            now=moment,
            renews=grant,
            expected=self._estimate(model, caller(request).team, told, moment) if told else None,
            use=self.use_of(grant, moment) if grant else None,
        )
        return Response(AccessRequestOutput(made).data, status=201)

    def _estimate(
        self, model: RegisteredModel, team: Team | None, told: dict[str, Any], moment: datetime
    ) -> work.Estimate:
        """Return what expected work comes to. Raises ValidationError where nobody knows how many
        tokens a page takes.
        """
        found = self.estimate(model, team, work.Work(**told), moment)
        if found.page is None:
            names = ("input_tokens_a_page", "output_tokens_a_page")
            wrong = {name: [work.NOT_MEASURED] for name in names}
            raise serializers.ValidationError({"expected_work": wrong})
        return found


@operation(
    "access_request", TAG, "Read an access request", answers=AccessRequestOutput, refuses=(404,)
)
@api_view(["GET"])
def access_request(request: Request, pk: UUID) -> Response:
    """Answer one request."""
    return Response(
        AccessRequestOutput(
            get_object_or_404(AccessRequest.objects.visible_to(caller(request)), pk=pk)
        ).data
    )


@operation(
    "access_request_decide",
    TAG,
    "Decide on an access request",
    takes=ReasonInput,
    answers=AccessRequestOutput,
    refuses=(404, 409),
    parameters=[choice("decision", list(DECISIONS), "What to do with it.")],
)
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str, seen_of: SeenOf) -> Response:
    """Approve or reject a request."""
    action = DECISIONS.get(decision)
    if action is None:
        raise Http404
    rows = AccessRequest.objects.visible_to(caller(request)).select_related(*RELATED)
    item, moment = get_object_or_404(rows, pk=pk), now()
    reason, seen = reason_of(request.data), seen_of(item, moment)
    action(request=item, approver=caller(request), reason=reason, now=moment, seen=seen)
    item.refresh_from_db()
    return Response(AccessRequestOutput(item).data)
