"""Celery tasks of apps.incidents: load, one call, nothing else."""

from apps.common.clocks import now
from apps.incidents import reconcile, watch
from apps.incidents.models import Episode
from apps.integrations.errors import TemporaryError
from apps.integrations.servicenow.addresses import is_configured
from apps.integrations.servicenow.client import client_from_settings as servicenow_client
from worker.celery import Sweep, app


@app.task(name="incidents.watch_rollouts", time_limit=30)
def watch_rollouts(**_: object) -> None:
    """Hold the open incidents against what the rollouts say."""
    watch.watch_rollouts(now())


@app.task(
    name="incidents.reconcile_episode", acks_late=True, time_limit=110, throws=(TemporaryError,)
)
def reconcile_episode(*, episode_id: str, **_: object) -> None:
    """Tell ServiceNow of one incident."""
    row = Episode.objects.select_related("model_version__registered_model").get(pk=episode_id)
    reconcile.reconcile_episode(row=row, servicenow=servicenow_client(), now=now())


@app.task(base=Sweep, name="incidents.reconcile_due_episodes", time_limit=30)
def reconcile_due_episodes(**_: object) -> None:
    """Start one task for each incident that is due; none where there is no ServiceNow."""
    if not is_configured():
        return
    for episode_id in Episode.objects.filter(next_check_at__lte=now()).values_list("pk", flat=True):
        reconcile_episode.delay(episode_id=str(episode_id))
