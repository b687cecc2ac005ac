"""Celery tasks of apps.capacity: load, one call, nothing else."""

from apps.capacity import reconcile
from apps.capacity.models import CapacityRequest
from apps.common.clocks import now
from apps.integrations.errors import TemporaryError
from apps.integrations.git.client import client_from_settings as git_client
from apps.integrations.kubernetes.client import client_from_settings as kubernetes_client
from worker.celery import Sweep, app


@app.task(
    name="capacity.reconcile_capacity_request",
    acks_late=True,
    time_limit=60,
    throws=(TemporaryError,),
)
def reconcile_capacity_request(*, request_id: str, **_: object) -> None:
    """Commit or observe one capacity request."""
    request = CapacityRequest.objects.select_related("base", "requested_by", "decided_by").get(
        pk=request_id
    )
    reconcile.reconcile_capacity_request(
        request=request, git=git_client(), cluster=kubernetes_client(), now=now()
    )


@app.task(base=Sweep, name="capacity.reconcile_due_capacity_requests", time_limit=30)
def reconcile_due_capacity_requests(**_: object) -> None:
    """Start one task for each capacity request that is due."""
    for request_id in CapacityRequest.objects.filter(next_check_at__lte=now()).values_list(
        "pk", flat=True
    ):
        reconcile_capacity_request.delay(request_id=str(request_id))


@app.task(name="capacity.find_pools", time_limit=60, throws=(TemporaryError,))
def find_pools(**_: object) -> None:
    """Keep what the pools' files in Git say."""
    reconcile.find_pools(git=git_client(), now=now())
