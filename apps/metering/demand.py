"""The door for KEDA: GET /v1/scaling/<namespace>/<name> answers whether anybody wants a version,
and how many requests its engines have.

`demand`: at 1 a replica of a sleeping version is started, or kept; at 0 it may go to sleep when the
cooldown is over. It is counted from the gateway's own access log, so a call that met no replica
wakes the model by being recorded. `load`: the requests that run or wait in its ready replicas, by
which their number goes; null where one of them was not measured lately, which KEDA takes for no
answer. 401: wrong credential. 404: no such version. 503: the database is away. Without an answer
KEDA changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import Q
from django.http import HttpRequest, JsonResponse
from django.utils.timezone import now
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.catalog.models import ModelVersion
from apps.common.bearer import is_bearer
from apps.fleet.metrics.loads import requests_in
from apps.fleet.queries import has_ready_replica
from apps.integrations.engine.client import EngineClient
from apps.integrations.errors import TemporaryError
from apps.manifests.names import MODELS
from apps.metering import store
from apps.promotions.models import Rollout

ENGINE_TIMEOUT = 1.0  # KEDA gives the whole answer three seconds


@dataclass(frozen=True)
class Demand:
    """Who wants a version now: calls of the window, calls under way, and a rollout that must see it
    ready.
    """

    unanswered_calls: int
    answered_calls: int
    running_calls: int
    rollout_open: bool

    @property
    def total(self) -> int:
        """Return all of it; with anything of it the version is wanted."""
        return self.unanswered_calls + self.answered_calls + self.running_calls + self.rollout_open


@never_cache
@require_GET
def demand(request: HttpRequest, namespace: str, name: str) -> JsonResponse:
    """Answer a version's demand."""
    if not is_bearer(request.headers.get("Authorization", ""), settings.SCALING_TOKEN_FILE):
        return JsonResponse(
            {"detail": "A valid scaling credential is needed."},
            status=401,
            headers={"WWW-Authenticate": "Bearer"},
        )
    try:
        version = _version(name) if namespace == MODELS else None
        if version is None:
            return JsonResponse({"detail": "No such version."}, status=404)
        moment = now()
        found = demand_of(version, now=moment)
        load = requests_in(MODELS, version.name, moment)
    except (OperationalError, InterfaceError):
        return JsonResponse(
            {"detail": "The database is away."}, status=503, headers={"Retry-After": "5"}
        )
    return JsonResponse(
        {
            "demand": int(found.total > 0),
            "load": load,
            "unanswered_calls": found.unanswered_calls,
            "answered_calls": found.answered_calls,
            "running_calls": found.running_calls,
            "rollout_open": found.rollout_open,
            "window_seconds": settings.SCALING_WINDOW_SECONDS,
        }
    )


def _version(name: str) -> ModelVersion | None:
    """Return the version that an InferenceService's name means."""
    model, _, number = name.rpartition("-v")
    if not number.isdecimal() or len(number) > 9:
        return None
    rows = ModelVersion.objects.select_related("registered_model")
    return rows.filter(registered_model__name=model, number=int(number)).first()


def demand_of(version: ModelVersion, *, now: datetime) -> Demand:
    """Return a version's demand. Four queries; asks the engine only where nothing else wants the
    version.

    A version whose rollout is open is wanted: before callers are sent to it, it must have been
    ready once, however long its first start takes. KEDA's own initial cooldown is a fixed guess and
    would end a start that takes longer.
    """
    rollouts = Rollout.objects.filter(model_version=version)
    moving = (*Rollout.OPEN, Rollout.Status.FAILED)
    routed = Q(status=Rollout.Status.LIVE) | Q(status__in=moving, weight__gt=0)
    calls = store.wanting_calls(
        model=version.registered_model.name,
        version=version.name,
        unanswered_too=rollouts.filter(routed).exists(),
        since=now - timedelta(seconds=settings.SCALING_WINDOW_SECONDS),
    )
    open_now = rollouts.open().exists()
    running = 0 if open_now or any(calls.values()) else running_calls(version.name)
    return Demand(calls["unanswered"], calls["answered"], running, open_now)


def running_calls(name: str) -> int:
    """Return the calls under way in a version's replica, which no record tells of before they end.

    An engine that is ready but does not answer in time is busy: one call. Asked at most once, with
    a short timeout.
    """
    if not has_ready_replica(MODELS, name):
        return 0
    address = f"http://{name}-predictor.{MODELS}.svc.cluster.local"
    try:
        with EngineClient(
            address, proxy=settings.CLUSTER_HTTP_PROXY, timeout=ENGINE_TIMEOUT
        ) as engine:
            return engine.running_calls()
    except TemporaryError:
        return 1
