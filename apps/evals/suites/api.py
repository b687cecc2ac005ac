"""The API of suites: the same actions as the pages."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out_word
from apps.common.outputs import AskedOutput
from apps.common.pagination import Cursor, NewestRequests
from apps.common.reasons import ReasonInput
from apps.evals.filters import PacketQuery, SuiteQuery
from apps.evals.models import EvalSuite, SuitePacket
from apps.evals.suites import actions
from apps.evals.suites.documents import BadDocument
from apps.evals.suites.uploads import MOST_BYTES, read_upload

TAG = "Evaluation suites"
DECISIONS = {"approve": actions.approve_suite, "reject": actions.reject_suite}
ORDERS = {"withdraw": actions.withdraw_suite}
RELATED = ("owner_team", "requested_by", "decided_by")


class SuiteInput(serializers.Serializer[Any]):
    """Body of a new suite or revision. document: its text, JSON or JSON Lines, as the page of the
    upload describes; declared_free_of_member_data: true, or it is refused.
    """

    document = serializers.CharField(
        max_length=MOST_BYTES, trim_whitespace=False, style={"base_template": "textarea.html"}
    )
    justification = serializers.CharField(min_length=10, max_length=2000)
    declared_free_of_member_data = serializers.BooleanField()


class SuiteOutput(AskedOutput[EvalSuite]):
    """One revision of a suite. judges: names of models, or "*" for those that no suite names."""

    owner_team = serializers.CharField(source="owner_team.slug", default=None, allow_null=True)
    requested_by = serializers.CharField(
        source="requested_by.username", default=None, allow_null=True
    )
    judges = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = EvalSuite
        fields = (
            "id", "slug", "revision", "title", "about", "owner_team", "judges", "status", "digest",
            "packets_digest", "packet_count", "thresholds", "rule", "question", "justification",
            "requested_by", "requested_at", "decided_by", "decided_at", "decision_reason",
        )  # fmt: skip


class SuitePacketOutput(serializers.ModelSerializer[SuitePacket]):
    """One packet. in_subset: asked where there is a CPU only; content: its text, with what a right
    answer says and where the text says so, as [start, end] in characters.
    """

    id = serializers.CharField(source="packet_id")

    class Meta:
        model = SuitePacket
        fields = ("id", "number", "pages", "style", "in_subset", "content")


class ByNumber(Cursor):
    """Packets in their order."""

    ordering = "number"


class Suites(Listing):
    """List suites and ask for one."""

    queryset = EvalSuite.objects.select_related(*RELATED)
    serializer_class = SuiteOutput
    pagination_class = NewestRequests
    filterset_class = SuiteQuery

    @operation(
        "evaluation_suites_list",
        TAG,
        "List suites",
        answers=SuiteOutput(many=True),
        refuses=(400,),
    )
    def get(self, request: Request) -> Response:
        """Answer the revisions of all suites, newest first."""
        rows = EvalSuite.objects.visible_to(caller(request)).select_related(*RELATED)
        return self.listed(rows)

    @operation(
        "evaluation_suites_create",
        TAG,
        "Ask for a suite or its next revision",
        takes=SuiteInput,
        answers=SuiteOutput,
        status=201,
        refuses=(409,),
    )
    def post(self, request: Request) -> Response:
        """Ask for a suite; a reviewer decides. Each problem of its document is named with its
        line.
        """
        body = SuiteInput(data=request.data)
        body.is_valid(raise_exception=True)
        values = body.validated_data
        try:
            upload = read_upload(values["document"].encode(errors="replace"))
        except BadDocument as error:
            raise ValidationError({"document": [str(each) for each in error.problems]}) from error
        made = actions.request_suite(
            upload=upload,
            justification=values["justification"],
            declared=values["declared_free_of_member_data"],
            actor=caller(request),
            now=now(),
        )
        return Response(SuiteOutput(made).data, status=201)


class Packets(Listing):
    """The packets of a suite."""

    queryset = SuitePacket.objects.all()
    serializer_class = SuitePacketOutput
    pagination_class = ByNumber
    filterset_class = PacketQuery

    @operation(
        "evaluation_suite_packets",
        TAG,
        "List the packets of a suite",
        answers=SuitePacketOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request, pk: int) -> Response:
        """Answer the packets in their order."""
        found = _suite(request, pk)
        return self.listed(SuitePacket.objects.filter(packets_digest=found.packets_digest))


def _suite(request: Request, pk: int) -> EvalSuite:
    rows = EvalSuite.objects.visible_to(caller(request)).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


@operation("evaluation_suite", TAG, "Read a suite", answers=SuiteOutput, refuses=(404,))
@api_view(["GET"])
def suite(request: Request, pk: int) -> Response:
    """Answer one revision of a suite."""
    return Response(SuiteOutput(_suite(request, pk)).data)


@operation(
    "evaluation_suite_decide",
    TAG,
    "Decide on a suite, or take it back",
    takes=ReasonInput(required=False),
    answers=SuiteOutput,
    refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, *ORDERS], "What to do with it.")],
)
@api_view(["POST"])
def decide(request: Request, pk: int, decision: str) -> Response:
    """Approve or reject a revision, with a reason; withdraw it, without."""
    item, who = _suite(request, pk), caller(request)
    carry_out_word(
        decision, decisions=DECISIONS, orders=ORDERS, who=who, body=request.data, now=now(),
        suite=item,
    )  # fmt: skip
    return Response(SuiteOutput(_suite(request, pk)).data)
