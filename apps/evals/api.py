"""The API of evaluation runs: the same actions as the pages."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.catalog.models import ModelVersion
from apps.common.listing import Listing
from apps.common.openapi import operation
from apps.common.pagination import NewestRequests
from apps.evals import actions
from apps.evals.filters import RunQuery
from apps.evals.models import EvalPacketResult, EvalRun

TAG = "Evaluations"


class RunInput(serializers.Serializer[Any]):
    """Body of a new run."""

    model = serializers.SlugField()
    version = serializers.IntegerField(min_value=1)


class RunOutput(serializers.ModelSerializer[EvalRun]):
    """One run."""

    model = serializers.CharField(source="model_version.registered_model.name")
    version = serializers.IntegerField(source="model_version.number")
    suite = serializers.CharField(source="suite.__str__")
    packet_count = serializers.IntegerField(source="suite.packet_count")
    thresholds = serializers.JSONField(source="suite.thresholds")
    requested_by = serializers.CharField(source="requested_by.username")

    class Meta:
        model = EvalRun
        fields: tuple[str, ...] = (
            "id", "model", "version", "suite", "status", "reason", "message", "requested_by",
            "requested_at",
            "serving_at", "finished_at", "removed_at", "packets_done", "packet_count", "engine",
            "instance_type",
            "metrics", "thresholds", "report_digest",
        )  # fmt: skip


class PacketOutput(serializers.ModelSerializer[EvalPacketResult]):
    """How the candidate did on one packet: codes and figures, no text."""

    expected = serializers.ListField(child=serializers.CharField())
    predicted = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = EvalPacketResult
        fields = (
            "packet_id", "expected", "predicted", "grounded", "ttft_ms", "latency_ms",
            "output_tokens",
        )  # fmt: skip


class RunWithPackets(RunOutput):
    """One run with its packets, once it has a result; without `packets` before."""

    packets = PacketOutput(many=True, source="packet_results", required=False)

    class Meta(RunOutput.Meta):
        fields = (*RunOutput.Meta.fields, "packets")

    def to_representation(self, instance: EvalRun) -> dict[str, Any]:
        """Return the run; its packets count for nothing before the report is whole."""
        found = super().to_representation(instance)
        if not instance.report_digest:
            del found["packets"]
        return found


class EvalRuns(Listing):
    """List and start runs."""

    queryset = EvalRun.objects.all()
    serializer_class = RunOutput
    pagination_class = NewestRequests
    filterset_class = RunQuery

    @operation(
        "evaluation_runs_list",
        TAG,
        "List evaluation runs",
        answers=RunOutput(many=True),
        refuses=(400,),
    )
    def get(self, request: Request) -> Response:
        """Answer the runs the caller may see."""
        return self.listed(_runs().visible_to(caller(request)))

    @operation(
        "evaluation_runs_create",
        TAG,
        "Start an evaluation run",
        takes=RunInput,
        answers=RunOutput,
        status=201,
        refuses=(404, 409),
    )
    def post(self, request: Request) -> Response:
        """Start a run of a verified version on the suite that judges its model."""
        body = RunInput(data=request.data)
        body.is_valid(raise_exception=True)
        version = get_object_or_404(
            ModelVersion.objects.visible_to(caller(request)).select_related(
                "registered_model__owner_team"
            ),
            registered_model__name=body.validated_data["model"],
            number=body.validated_data["version"],
        )
        suite = actions.suite_to_run(version=version, actor=caller(request))
        run = actions.start_eval_run(version=version, suite=suite, actor=caller(request), now=now())
        return Response(RunOutput(run).data, status=201)


@operation("evaluation_run", TAG, "Read an evaluation run", answers=RunWithPackets, refuses=(404,))
@api_view(["GET"])
def evaluation_run(request: Request, pk: UUID) -> Response:
    """Answer one run; with its packets once it has a result."""
    run = get_object_or_404(_runs().visible_to(caller(request)), pk=pk)
    return Response(RunWithPackets(run).data)


def _runs() -> Any:
    return EvalRun.objects.select_related(
        "suite", "model_version__registered_model", "requested_by"
    )
