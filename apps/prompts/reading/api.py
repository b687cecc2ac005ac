"""The API of the prompt record for those who may read: the index, and a prompt for a reason."""

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
from apps.integrations.errors import PermanentError, TemporaryError
from apps.prompts.models import PromptRecord
from apps.prompts.pages import require_reader
from apps.prompts.reading import actions
from apps.prompts.reading.opening import Unreadable
from apps.prompts.reading.tables import RecordQuery
from apps.prompts.reading.views import open_with_settings, records, text_of
from apps.prompts.rules.api import TAG


class NewestCalls(Cursor):
    """Pages of calls, newest first."""

    ordering = ("-at", "-id")


class PromptOutput(serializers.ModelSerializer[PromptRecord]):
    """A call in the index, without its text. call: the request id. key_of: whose key it is under;
    version: "" until it is metered; *_bytes: null where that half was not kept.
    """

    call = serializers.UUIDField(source="call_id")
    key_of = serializers.CharField(source="data_key.kind")

    class Meta:
        model = PromptRecord
        fields = (
            "id", "call", "at", "team", "cost_center", "person", "model", "version", "operation",
            "data_class", "outcome", "refused_by", "rules_hit", "verdict", "request_bytes",
            "answer_bytes", "key_of", "place", "retained_until",
        )  # fmt: skip


class ReadOutput(serializers.Serializer[Any]):
    """A call's text. null: that half was not kept."""

    request = serializers.CharField(allow_null=True)
    answer = serializers.CharField(allow_null=True)


class Prompts(Listing):
    """List what is kept."""

    queryset = PromptRecord.objects.all()
    serializer_class = PromptOutput
    pagination_class = NewestCalls
    filterset_class = RecordQuery

    @operation(
        "prompts_list", TAG, "Search the prompt record", answers=PromptOutput(many=True),
        refuses=(400, 404),
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Answer the calls, newest first, without any text."""
        require_reader(caller(request))
        return self.listed(records())


@operation("prompt", TAG, "Read a call in the index", answers=PromptOutput, refuses=(404,))
@api_view(["GET"])
def prompt(request: Request, pk: UUID) -> Response:
    """Answer one call, without its text."""
    require_reader(caller(request))
    return Response(PromptOutput(get_object_or_404(records(), pk=pk)).data)


@operation(
    "prompt_read", TAG, "Read a call's text", takes=ReasonInput, answers=ReadOutput,
    refuses=(404, 409),
)  # fmt: skip
@api_view(["POST"])
def prompt_read(request: Request, pk: UUID) -> Response:
    """Answer a call's text, for a reason: that is an event of the audit record, and the team is
    told.
    """
    require_reader(caller(request))
    record = get_object_or_404(records(), pk=pk)
    reason = reason_of(request.data)
    actions.read_record(record=record, reader=caller(request), reason=reason, now=now())
    try:
        opened = open_with_settings(record)
    except (TemporaryError, PermanentError, ValueError) as error:
        raise Unreadable(str(error)) from error
    answer = Response({"request": text_of(opened.request), "answer": text_of(opened.answer)})
    answer["Cache-Control"] = "no-store"
    return answer
