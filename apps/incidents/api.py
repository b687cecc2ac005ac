"""The API of incidents. Nobody opens or closes one by hand; people may let go on what one holds."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.common.listing import Listing
from apps.common.openapi import operation
from apps.common.pagination import Cursor
from apps.common.reasons import ReasonInput, reason_of
from apps.incidents.filters import EpisodeQuery
from apps.incidents.models import Episode, EpisodeNote
from apps.integrations.servicenow.addresses import page_of
from apps.promotions.holding.actions import lift_hold
from apps.promotions.holding.models import RolloutHold

TAG = "Incidents"
RELATED = ("model_version__registered_model", "registered_model")


class NewestIncidents(Cursor):
    """Pages of incidents, newest first."""

    ordering = ("-opened_at", "-id")


class NoteOutput(serializers.ModelSerializer[EpisodeNote]):
    """What followed after it began. sent_at: when ServiceNow had it, or null."""

    class Meta:
        model = EpisodeNote
        fields = ("number", "noted_at", "words", "sent_at")


class EpisodeOutput(serializers.ModelSerializer[Episode]):
    """One incident. rollout: null where it is the version's own, or the model's; model: null but
    where it is the model's. is_page: people were paged. number, url: of its incident in
    ServiceNow, "" without one; message: why ServiceNow could not be told, "" where it could.
    """

    version = serializers.CharField(source="model_version.name")
    rollout = serializers.UUIDField(source="rollout_id", allow_null=True)
    model = serializers.CharField(source="registered_model.name", allow_null=True, default=None)
    url = serializers.SerializerMethodField()

    class Meta:
        model = Episode
        fields = (
            "id", "kind", "status", "version", "rollout", "model", "words", "is_page",
            "opened_at", "closed_at", "number", "url", "report", "message",
        )  # fmt: skip

    def get_url(self, episode: Episode) -> str:
        """Return the address of the incident's page in ServiceNow."""
        return page_of("incident", episode.sys_id)


class EpisodeDetailOutput(EpisodeOutput):
    """One incident with its notes."""

    notes = NoteOutput(many=True)

    class Meta(EpisodeOutput.Meta):
        fields = (*EpisodeOutput.Meta.fields, "notes")  # type: ignore[assignment]


class Incidents(Listing):
    """List incidents."""

    queryset = Episode.objects.all()
    serializer_class = EpisodeOutput
    pagination_class = NewestIncidents
    filterset_class = EpisodeQuery

    @operation(
        "incidents_list",
        TAG,
        "List incidents",
        answers=EpisodeOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request) -> Response:
        """Answer the incidents, newest first."""
        return self.listed(Episode.objects.visible_to(caller(request)).select_related(*RELATED))


@operation(
    "incident",
    TAG,
    "Read an incident",
    answers=EpisodeDetailOutput,
    refuses=(404,),
)
@api_view(["GET"])
def incident(request: Request, pk: UUID) -> Response:
    """Answer one incident with its notes."""
    return Response(EpisodeDetailOutput(_found(request, pk)).data)


@operation(
    "incident_lift",
    TAG,
    "Let the rollouts go on that an incident holds",
    takes=ReasonInput,
    answers=EpisodeDetailOutput,
    refuses=(404, 409),
)
@api_view(["POST"])
def lift(request: Request, pk: UUID) -> Response:
    """Let rollouts of the model begin and go forward although the incident is not over."""
    episode = _found(request, pk)
    hold = get_object_or_404(RolloutHold, cause=episode.correlation_id)
    lift_hold(hold=hold, actor=caller(request), reason=reason_of(request.data), now=now())
    return Response(EpisodeDetailOutput(episode).data)


def _found(request: Request, pk: UUID) -> Episode:
    visible: Any = Episode.objects.visible_to(caller(request)).select_related(*RELATED)
    found: Episode = get_object_or_404(visible, pk=pk)
    return found
