"""The API of evaluation runs: the same actions as the pages. It stands here because a run is
measured against what serves, which promotions tells.
"""

from decimal import Decimal
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
from apps.evals.suites.queries import CPU
from apps.manifests.serving_settings import BadSettings, ServingSettings
from portal.pages.evaluations.asked import wanted_by
from portal.pages.evaluations.start import WHOLE

TAG = "Evaluations"


class RunInput(serializers.Serializer[Any]):
    """Body of a new run."""

    model = serializers.SlugField()
    version = serializers.IntegerField(min_value=1)
    suite = serializers.SlugField(
        required=False,
        help_text="Of the suites that judge the model; needed where several do.",
    )
    packets = serializers.ChoiceField(
        choices=[WHOLE, CPU],
        required=False,
        help_text="All packets of the suite, or those of its declared subset, which is all that is "
        "asked where engines run on a CPU.",
    )
    concurrency = serializers.IntegerField(
        min_value=1,
        max_value=actions.MOST_AT_ONCE,
        required=False,
        help_text="Packets that each side has at once.",
    )
    cost_limit_usd = serializers.DecimalField(
        max_digits=10,
        decimal_places=2,
        min_value=Decimal("0.01"),
        max_value=Decimal(actions.LARGEST_COST),
        required=False,
        help_text="The run ends where its machines may have cost so many dollars.",
    )
    serving_settings = serializers.DictField(
        required=False,
        help_text="With what the candidate is served; as usual where left out, whatever the live "
        "version is served with.",
    )


class RunOutput(serializers.ModelSerializer[EvalRun]):
    """One run."""

    model = serializers.CharField(source="model_version.registered_model.name")
    version = serializers.IntegerField(source="model_version.number")
    suite = serializers.CharField(source="suite.__str__")
    packet_count = serializers.IntegerField(source="packets_total")
    baseline = serializers.CharField(
        source="baseline.name", default=None, allow_null=True, help_text="None served: null."
    )
    thresholds = serializers.JSONField(source="suite.thresholds")
    rule = serializers.JSONField(source="suite.rule")
    judgement = serializers.JSONField()
    requested_by = serializers.CharField(source="requested_by.username")

    class Meta:
        model = EvalRun
        fields: tuple[str, ...] = (
            "id", "model", "version", "suite", "status", "reason", "message", "requested_by",
            "requested_at",
            "serving_at", "finished_at", "removed_at", "packets_done", "packet_count", "subset",
            "concurrency", "cost_limit_usd", "cost_usd", "serving_settings", "engine",
            "instance_type", "baseline", "baseline_engine", "metrics", "baseline_metrics",
            "thresholds", "rule", "judgement", "report_digest", "report_key",
        )  # fmt: skip


class PacketOutput(serializers.ModelSerializer[EvalPacketResult]):
    """What one side answered to one packet, and how that is scored."""

    score = serializers.JSONField()

    class Meta:
        model = EvalPacketResult
        fields = ("packet_id", "side", "problem", "problem_words", "answer", "score")


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
        """Start a run of a verified version, side by side with the version that serves now."""
        body = RunInput(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        version = get_object_or_404(
            ModelVersion.objects.visible_to(caller(request)).select_related(
                "registered_model__owner_team"
            ),
            registered_model__name=asked["model"],
            number=asked["version"],
        )
        wanted = wanted_by(
            version,
            whole=asked["packets"] == WHOLE if "packets" in asked else None,
            concurrency=asked.get("concurrency"),
            cost_limit_usd=asked.get("cost_limit_usd"),
            serving=_settings(asked.get("serving_settings")),
        )
        actor = caller(request)
        suite = actions.suite_to_run(version=version, actor=actor, slug=asked.get("suite", ""))
        run = actions.start_eval_run(
            version=version,
            suite=suite,
            actor=actor,
            now=now(),
            wanted=wanted,
        )
        return Response(RunOutput(run).data, status=201)


def _settings(given: dict[str, Any] | None) -> ServingSettings | None:
    """Return the serving settings of a body. Raises ValidationError."""
    if given is None:
        return None
    try:
        return ServingSettings.of_json(given)
    except BadSettings as error:
        raise serializers.ValidationError({"serving_settings": [str(error)]}) from error


@operation("evaluation_run", TAG, "Read an evaluation run", answers=RunWithPackets, refuses=(404,))
@api_view(["GET"])
def evaluation_run(request: Request, pk: UUID) -> Response:
    """Answer one run; with its packets once it has a result."""
    run = get_object_or_404(_runs().visible_to(caller(request)), pk=pk)
    return Response(RunWithPackets(run).data)


@operation(
    "evaluation_run_cancel",
    TAG,
    "Cancel an evaluation run",
    answers=RunOutput,
    refuses=(404, 409),
)
@api_view(["POST"])
def evaluation_run_cancel(request: Request, pk: UUID) -> Response:
    """End a run that is under way; what it served is removed."""
    run = get_object_or_404(_runs().visible_to(caller(request)), pk=pk)
    actions.cancel_eval_run(run=run, actor=caller(request), now=now())
    return Response(RunOutput(run).data)


def _runs() -> Any:
    return EvalRun.objects.select_related(
        "suite",
        "model_version__registered_model__owner_team",
        "baseline__registered_model",
        "requested_by",
    )
