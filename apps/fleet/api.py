"""The API of the fleet: what the observer saw. Reading only."""

from collections.abc import Sequence
from typing import Any

from django.http import Http404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.accounts.roles import SEES_FLEET
from apps.common.listing import Listing
from apps.common.openapi import operation
from apps.common.pagination import Cursor
from apps.fleet import queries
from apps.fleet.filters import NodeQuery
from apps.fleet.models import Node
from apps.fleet.pricing.book import with_prices


class Newest(Cursor):
    """Pages of nodes, newest first."""

    ordering = ("-created_at", "-id")
    page_size = 100

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return how a page looks: also until when the cluster was seen."""
        page = super().get_paginated_response_schema(schema)
        seen = {"type": ["string", "null"], "format": "date-time"}
        page["properties"] |= {"seen_until": seen, "stale": {"type": "boolean"}}
        return page


class NodeOutput(serializers.ModelSerializer[Node]):
    """One node. busy_gpus: held by a replica. price_basis: whose word its price now is; "" where it
    has none.
    """

    busy_gpus = serializers.SerializerMethodField()

    class Meta:
        model = Node
        fields = (
            "name", "node_pool", "instance_type", "zone", "capacity_type", "gpu_count", "busy_gpus",
            "price_usd_per_hour", "price_basis", "is_ready", "is_unschedulable", "created_at",
            "learned_at",
        )  # fmt: skip

    def get_busy_gpus(self, node: Node) -> int:
        """Return the GPUs that replicas hold."""
        held: dict[str, int] = self.context["held"]
        return min(node.gpu_count, held.get(node.name, 0))


class Nodes(Listing):
    """List the nodes with GPUs that the cluster has."""

    queryset = Node.objects.all()
    serializer_class = NodeOutput
    pagination_class = Newest
    filterset_class = NodeQuery

    @operation(
        "nodes_list",
        "Fleet",
        "List nodes with GPUs",
        answers=NodeOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request) -> Response:
        """Answer the nodes, newest first, and until when the cluster was seen."""
        if not caller(request).has_role(*SEES_FLEET):
            raise Http404
        answer = self.listed(Node.objects.present().with_gpus())
        freshness = queries.freshness(now())
        answer.data["seen_until"], answer.data["stale"] = freshness.seen_until, freshness.is_stale
        return answer

    def context_of(self, page: Sequence[Node]) -> dict[str, object]:
        """Return how many GPUs replicas hold on each of these nodes; they get their prices."""
        with_prices(page, now())
        return {"held": queries.held_gpus([node.name for node in page])}
