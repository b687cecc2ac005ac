"""The API of pools and capacity requests: the same actions as the pages."""

from typing import Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import User
from apps.accounts.requests import caller
from apps.accounts.roles import SEES_CAPACITY
from apps.capacity import actions, effect, queries
from apps.capacity.filters import RequestQuery
from apps.capacity.models import CapacityRequest
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out_word
from apps.common.outputs import ASKED, AskedOutput
from apps.common.pagination import NewestRequests
from apps.common.reasons import ReasonInput
from apps.manifests.capacity import CAPACITY_TYPES, POLICIES, REASONS, Budget, NodePool

TAG = "Capacity"
DECISIONS = {"approve": actions.approve_capacity, "reject": actions.reject_capacity}
ORDERS = {"withdraw": actions.withdraw_capacity, "retry": actions.retry_capacity}
RELATED = ("base", "requested_by", "decided_by")


class BudgetInput(serializers.Serializer[Any]):
    """One disruption budget."""

    nodes = serializers.CharField(max_length=5)
    reasons = serializers.ListField(child=serializers.ChoiceField(choices=REASONS), default=list)
    schedule = serializers.CharField(max_length=100, default="", allow_blank=True)
    duration = serializers.CharField(max_length=20, default="", allow_blank=True)


class CapacityInput(serializers.Serializer[Any]):
    """Body of a new request: what the pool should say, whole. base: the revision that GET
    answered.
    """

    pool = serializers.SlugField(max_length=63)
    base = serializers.IntegerField(min_value=1)
    gpus = serializers.IntegerField(min_value=0, max_value=actions.HIGHEST_GPUS)
    cpu = serializers.IntegerField(
        min_value=0, max_value=actions.HIGHEST_CPU, allow_null=True, default=None
    )
    memory_gib = serializers.IntegerField(
        min_value=0, max_value=actions.HIGHEST_MEMORY_GIB, allow_null=True, default=None
    )
    families = serializers.ListField(
        child=serializers.CharField(max_length=63), min_length=1, max_length=100
    )
    capacity_types = serializers.ListField(
        child=serializers.ChoiceField(choices=CAPACITY_TYPES), min_length=1, max_length=2
    )
    consolidation_policy = serializers.ChoiceField(choices=POLICIES)
    consolidate_after = serializers.CharField(max_length=20)
    budgets = BudgetInput(many=True)
    justification = serializers.CharField(min_length=10, max_length=2000)


class CapacityRequestOutput(AskedOutput[CapacityRequest]):
    """One request. text: the whole file that is committed."""

    base = serializers.IntegerField(source="base.number")

    class Meta:
        model = CapacityRequest
        fields = (
            "id", "pool", "base", "digest", "text", *ASKED, "commit", "reason", "message",
            "observed_at", "finished_at",
        )  # fmt: skip


class BudgetOutput(serializers.Serializer[Budget]):
    """One disruption budget."""

    nodes = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField())
    schedule = serializers.CharField()
    duration = serializers.CharField()


class SettingsOutput(serializers.Serializer[NodePool]):
    """What a pool may buy. null: no limit is set."""

    gpus = serializers.IntegerField()
    cpu = serializers.IntegerField(allow_null=True)
    memory_gib = serializers.IntegerField(allow_null=True)
    families = serializers.ListField(child=serializers.CharField())
    capacity_types = serializers.ListField(child=serializers.ChoiceField(choices=CAPACITY_TYPES))
    consolidation_policy = serializers.CharField()
    consolidate_after = serializers.CharField()
    budgets = BudgetOutput(many=True)


class PoolOutput(serializers.Serializer[queries.Pool]):
    """One pool. is_ready, usage: as the cluster says; settings: null where `problem` says why.

    most_usd_per_hour: what all that it may buy costs at list prices.
    """

    pool = serializers.CharField(source="revision.pool")
    revision = serializers.IntegerField(source="revision.number")
    digest = serializers.CharField(source="revision.digest")
    commit = serializers.SerializerMethodField()
    open_request = serializers.UUIDField(source="request.pk", default=None, allow_null=True)
    is_ready = serializers.BooleanField(source="seen.is_ready", default=None, allow_null=True)
    usage = serializers.DictField(source="seen.usage", default=dict)
    problem = serializers.SerializerMethodField()
    most_usd_per_hour = serializers.SerializerMethodField()
    settings = SettingsOutput(source="spec", allow_null=True)

    def get_commit(self, pool: queries.Pool) -> str | None:
        """Return the commit that brought the revision."""
        return pool.revision.commit or None

    def get_problem(self, pool: queries.Pool) -> str | None:
        """Return why the file of the pool cannot be read."""
        return pool.problem or None

    def get_most_usd_per_hour(self, pool: queries.Pool) -> str | None:
        """Return a decimal, as text."""
        return str(effect.most(pool.spec).usd_per_hour) if pool.spec else None


class PoolsOutput(serializers.Serializer[Any]):
    """Every pool."""

    results = PoolOutput(many=True)


def _visible_to(user: User) -> User:
    if not user.has_role(*SEES_CAPACITY):
        raise Http404
    return user


class CapacityRequests(Listing):
    """List and make requests."""

    queryset = CapacityRequest.objects.select_related(*RELATED)
    serializer_class = CapacityRequestOutput
    pagination_class = NewestRequests
    filterset_class = RequestQuery

    @operation(
        "capacity_requests_list",
        TAG,
        "List capacity requests",
        answers=CapacityRequestOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request) -> Response:
        """Answer the requests, newest first."""
        rows = CapacityRequest.objects.visible_to(_visible_to(caller(request)))
        return self.listed(rows.select_related(*RELATED))

    @operation(
        "capacity_requests_create",
        TAG,
        "Ask for a change of a pool",
        takes=CapacityInput,
        answers=CapacityRequestOutput,
        status=201,
        refuses=(404, 409),
    )
    def post(self, request: Request) -> Response:
        """Ask for a change of a pool."""
        requester = _visible_to(caller(request))
        body = CapacityInput(data=request.data)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        named = {name: values.pop(name) for name in ("pool", "base", "justification")}
        budgets = tuple(
            Budget(**(row | {"reasons": tuple(row["reasons"])})) for row in values.pop("budgets")
        )
        values |= {name: tuple(values[name]) for name in ("families", "capacity_types")}
        wish = actions.Wish(budgets=budgets, **values)
        made = actions.request_capacity(wish=wish, requester=requester, now=now(), **named)
        return Response(CapacityRequestOutput(made).data, status=201)


def _request(request: Request, pk: UUID) -> CapacityRequest:
    rows = CapacityRequest.objects.visible_to(caller(request)).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


@operation(
    "capacity_request",
    TAG,
    "Read a capacity request",
    answers=CapacityRequestOutput,
    refuses=(404,),
)
@api_view(["GET"])
def capacity_request(request: Request, pk: UUID) -> Response:
    """Answer one request."""
    return Response(CapacityRequestOutput(_request(request, pk)).data)


@operation(
    "capacity_request_decide",
    TAG,
    "Decide on a capacity request, or move it",
    takes=ReasonInput(required=False),
    answers=CapacityRequestOutput,
    refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, *ORDERS], "What to do with it.")],
)
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Approve or reject a request, with a reason; withdraw or retry it, without."""
    item, who = _request(request, pk), caller(request)
    carry_out_word(
        decision, decisions=DECISIONS, orders=ORDERS, who=who, body=request.data, now=now(),
        request=item,
    )  # fmt: skip
    return Response(CapacityRequestOutput(_request(request, pk)).data)


@operation("node_pools", TAG, "List the pools", answers=PoolsOutput, refuses=(404,))
@api_view(["GET"])
def node_pools(request: Request) -> Response:
    """Answer every pool: its revision, its settings, the most it may cost per hour at list
    prices.
    """
    _visible_to(caller(request))
    return Response(PoolsOutput({"results": queries.pools()}).data)
