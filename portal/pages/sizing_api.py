"""The API of what a version is and which GPUs it needs: the same answers as the pages."""

from typing import Any

from django.utils.timezone import now
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.catalog.api import TAG
from apps.catalog.facts.models import ModelFacts
from apps.catalog.facts.queries import of_version
from apps.catalog.sizing import queries
from apps.catalog.sizing.compute import library
from apps.catalog.sizing.fits import Fit, Refusal
from apps.catalog.sizing.forms import LoadForm
from apps.catalog.sizing.suggestions import suggest
from apps.common.openapi import operation
from portal.pages.sizing import sized
from portal.pages.versions import version_for

NOT_READ = "The version's files were not read yet."
LOAD = [
    OpenApiParameter(name, kind, required=name in ("context", "answer"), description=words)
    for name, kind, words in (
        ("context", int, "Tokens of one request, prompt and answer."),
        ("answer", int, "Of them the answer's."),
        ("callers", int, "How many ask at once; or rate."),
        ("rate", float, "Requests a second; or callers."),
        ("ttft_ms", float, "Goal for the first token of 95 of 100 requests, in ms."),
        ("itl_ms", float, "Goal for the mean time between tokens, in ms."),
    )
]


class FactsOutput(serializers.ModelSerializer[ModelFacts]):
    """What a version's files say. null, or an empty text: not known."""

    class Meta:
        model = ModelFacts
        fields = (
            "digest", "reader", "architecture", "model_type", "parameters", "weight_bytes", "dtype",
            "dtypes", "quantization", "layers", "heads", "kv_heads", "head_size", "hidden_size",
            "context", "sliding_window", "vocabulary", "experts", "experts_used", "chat_template",
            "chat_template_digest", "model_card", "license_file", "license_stated", "problems",
            "read_at",
        )  # fmt: skip


class FitOutput(serializers.Serializer[Fit]):
    """One way to serve the load. Times in ms, prices in US dollars; null: nobody knows."""

    machine = serializers.CharField(source="machine.name")
    gpu = serializers.CharField(source="machine.gpu")
    gpus_a_replica = serializers.IntegerField(source="ways")
    replicas = serializers.IntegerField()
    machines = serializers.IntegerField()
    idle_gpus = serializers.IntegerField()
    kv_tokens = serializers.IntegerField(source="room.kv_tokens", allow_null=True)
    kv_tokens_by_library = serializers.IntegerField(source="room.by_library", allow_null=True)
    ttft_ms = serializers.FloatField(source="pace.ttft_ms", default=None, allow_null=True)
    itl_ms = serializers.FloatField(source="pace.itl_ms", default=None, allow_null=True)
    tokens_per_second = serializers.FloatField(
        source="pace.tokens_per_second", default=None, allow_null=True
    )
    note = serializers.CharField()
    usd_per_hour = serializers.CharField(source="usd", allow_null=True)
    spot_usd_per_hour = serializers.CharField(source="spot_usd", allow_null=True)
    usd_per_million_tokens = serializers.CharField(source="million_usd", allow_null=True)


class RefusalOutput(serializers.Serializer[Refusal]):
    """A machine that does not serve the load."""

    machine = serializers.CharField(source="machine.name")
    why = serializers.CharField()


class SizingOutput(serializers.Serializer[Any]):
    """What serves a load, cheapest first, and what does not. is_complete: every speed is worked
    out that can be; the page has a worker do that. settings: what a proposal may begin with.
    """

    library = serializers.CharField()
    is_complete = serializers.BooleanField()
    fits = FitOutput(many=True)
    refusals = RefusalOutput(many=True)
    settings = serializers.DictField(allow_null=True)


@operation("version_facts", TAG, "Read what a version's files say", answers=FactsOutput,
           refuses=(404,))  # fmt: skip
@api_view(["GET"])
def facts(request: Request, name: str, number: int) -> Response:
    """Answer the facts; 404 until they were read."""
    version = version_for(caller(request), name, number)
    found = of_version(version)
    if found is None:
        raise NotFound(NOT_READ)
    return Response(FactsOutput(found).data)


@operation(
    "version_sizing",
    TAG,
    "Size a version under a load",
    answers=SizingOutput,
    refuses=(400, 404),
    parameters=LOAD,
)
@api_view(["GET"])
def sizing(request: Request, name: str, number: int) -> Response:
    """Answer which machines serve a load. 404 until the version's facts were read."""
    version = version_for(caller(request), name, number)
    shape = queries.shape_of(version)
    if shape is None:
        raise NotFound(NOT_READ)
    form = LoadForm(request.query_params)
    found = sized(shape, version, form, now())
    if found is None:
        raise serializers.ValidationError(
            {name: [str(each) for each in errors] for name, errors in form.errors.items()}
        )
    made = suggest(found, form.load())
    body = {
        "library": library(),
        "is_complete": queries.progress(shape).is_done,
        "fits": found.fits,
        "refusals": found.refusals,
        "settings": made.as_json() if made else None,
    }
    return Response(SizingOutput(body).data)
