"""Celery tasks of apps.gateway: load, one call, nothing else."""

from apps.catalog.models import RegisteredModel
from apps.common.clocks import now
from apps.common.tasks import enqueue_on_commit
from apps.gateway import actions, reconcile
from apps.gateway.effective import look as effective
from apps.gateway.models import PolicyRevision
from apps.gateway.purse import upkeep
from apps.integrations.envoy_admin.client import client_from_settings as envoy_admin
from apps.integrations.errors import TemporaryError
from apps.integrations.git.client import client_from_settings as git_client
from apps.integrations.kubernetes.client import client_from_settings as kubernetes_client
from worker.celery import Sweep, app


@app.task(name="gateway.publish_policy", acks_late=True, time_limit=60)
def publish_policy(*, model_id: int, **_: object) -> None:
    """Publish a model's policy now: one of its grants changed."""
    revision = actions.request_publication(
        model=RegisteredModel.objects.get(pk=model_id), now=now()
    )
    enqueue_on_commit("gateway.reconcile_policy", revision_id=revision.pk)


@app.task(name="gateway.reconcile_policy", acks_late=True, time_limit=60, throws=(TemporaryError,))
def reconcile_policy(*, revision_id: int, **_: object) -> None:
    """Commit and observe one model's policy."""
    revision = PolicyRevision.objects.select_related("registered_model").get(pk=revision_id)
    reconcile.reconcile_policy(
        revision=revision, git=git_client(), cluster=kubernetes_client(), now=now()
    )


@app.task(
    base=Sweep,
    name="gateway.reconcile_due_policies",
    acks_late=True,
    time_limit=60,
    throws=(TemporaryError,),
)
def reconcile_due_policies(**_: object) -> None:
    """Start a task for each policy that is due, then ask for what is outdated."""
    for pk in PolicyRevision.objects.filter(next_check_at__lte=now()).values_list("pk", flat=True):
        enqueue_on_commit("gateway.reconcile_policy", revision_id=pk)
    reconcile.find_outdated(now=now())


@app.task(name="gateway.give_back_expired", acks_late=True, time_limit=60)
def give_back_expired(**_: object) -> None:
    """Give back what calls hold whose gate died."""
    upkeep.give_back_expired(now=now())


@app.task(name="gateway.keep_counters", acks_late=True, time_limit=120)
def keep_counters(**_: object) -> None:
    """Hold the counters of budgets to what counts against them."""
    upkeep.keep_counters(now=now())


@app.task(name="gateway.forget_settled", acks_late=True, time_limit=300)
def forget_settled(**_: object) -> None:
    """Delete the settled calls that count nowhere any more."""
    upkeep.forget_settled(now=now())


@app.task(name="gateway.look", acks_late=True, time_limit=120)
def look(**_: object) -> None:
    """Read back what the gateway does, and hold it against what the portal says."""
    effective.look(cluster=kubernetes_client(), envoy=envoy_admin(), now=now())
