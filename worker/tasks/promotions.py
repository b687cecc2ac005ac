"""Celery tasks of apps.promotions: load, one call, nothing else."""

from apps.common.clocks import now
from apps.integrations.errors import TemporaryError
from apps.integrations.git.client import client_from_settings as git_client
from apps.integrations.kubernetes.client import client_from_settings as kubernetes_client
from apps.integrations.servicenow.addresses import is_configured
from apps.integrations.servicenow.client import client_from_settings as servicenow_client
from apps.metering.store import calls_by_version
from apps.promotions import begin
from apps.promotions.changes import reconcile as changes
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.emergencies import actions as emergencies
from apps.promotions.models import Promotion, Rollout
from apps.promotions.rollouts import actions as rollouts
from apps.promotions.rollouts import live, reconcile
from worker.celery import Sweep, app


@app.task(
    name="promotions.reconcile_rollout", acks_late=True, time_limit=110, throws=(TemporaryError,)
)
def reconcile_rollout(*, rollout_id: str, **_: object) -> None:
    """Do the next thing for one rollout."""
    related = (
        "registered_model",
        "model_version__registered_model",
        "baseline__registered_model",
        "promotion__policy_revision",
    )
    rollout = Rollout.objects.select_related(*related).get(pk=rollout_id)
    reconcile.reconcile_rollout(
        rollout=rollout,
        git=git_client(),
        cluster=kubernetes_client(),
        calls=calls_by_version,
        now=now(),
    )


@app.task(base=Sweep, name="promotions.reconcile_due_rollouts", time_limit=30)
def reconcile_due_rollouts(**_: object) -> None:
    """Start one task for each rollout that is due, or live and seen to be not ready."""
    live.wake_unready(now())
    for rollout_id in Rollout.objects.filter(next_check_at__lte=now()).values_list("pk", flat=True):
        reconcile_rollout.delay(rollout_id=str(rollout_id))


@app.task(
    name="promotions.reconcile_change", acks_late=True, time_limit=110, throws=(TemporaryError,)
)
def reconcile_change(*, change_id: str, **_: object) -> None:
    """Look at one change in ServiceNow, and do the next thing for it."""
    row = ChangeRecord.objects.get(pk=change_id)
    changes.reconcile_change(row=row, servicenow=servicenow_client(), now=now())


@app.task(base=Sweep, name="promotions.reconcile_due_changes", time_limit=30)
def reconcile_due_changes(**_: object) -> None:
    """Ask for changes that are missing, and start one task for each that is due; none where there
    is no ServiceNow.
    """
    if not is_configured():
        return
    changes.ask_for_missing(now())
    for change_id in ChangeRecord.objects.filter(next_check_at__lte=now()).values_list(
        "pk", flat=True
    ):
        reconcile_change.delay(change_id=str(change_id))


@app.task(name="promotions.start_promotion", time_limit=30)
def start_promotion(*, promotion_id: str, **_: object) -> None:
    """Start the rollout of an approved promotion where nothing stands in the way any more."""
    related = ("registered_model", "model_version__registered_model", "policy_revision")
    promotion = Promotion.objects.select_related(*related).get(pk=promotion_id)
    begin.start_if_free(promotion=promotion, actor=begin.WORKER, now=now())


@app.task(name="promotions.start_approved_promotions", time_limit=30)
def start_approved_promotions(**_: object) -> None:
    """Start one task for each promotion that is approved, or by some of several, and not begun."""
    for promotion_id in begin.waiting().values_list("pk", flat=True):
        start_promotion.delay(promotion_id=str(promotion_id))


@app.task(name="promotions.tell_overdue_emergencies", time_limit=30)
def tell_overdue_emergencies(**_: object) -> None:
    """Tell once of each emergency whose review is overdue."""
    emergencies.tell_overdue(now=now())


@app.task(name="promotions.stop_retired", acks_late=True, time_limit=120)
def stop_retired(**_: object) -> None:
    """Take what serves of models that are retired out of the cluster."""
    rollouts.stop_retired(now=now())
