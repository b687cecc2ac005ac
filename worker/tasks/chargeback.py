"""Celery tasks of apps.chargeback: one call each."""

from apps.chargeback import actions
from apps.chargeback.bills import reconcile
from apps.chargeback.bills.manifest import export_from_settings
from apps.chargeback.budgets import alerts
from apps.chargeback.documents import reconcile as documents
from apps.chargeback.effects import effect_of
from apps.common.clocks import now
from apps.integrations.s3.client import archive_from_settings, bills_from_settings
from apps.promotions.effects import keep_effect
from apps.promotions.models import Promotion
from worker.celery import Sweep, app


@app.task(name="chargeback.price_due_days", acks_late=True, time_limit=300)
def price_due_days(**_: object) -> None:
    """Price by the price list the days whose hours or prices changed."""
    actions.price_due_days()


@app.task(name="chargeback.allocate_due_days", acks_late=True, time_limit=300)
def allocate_due_days(**_: object) -> None:
    """Share out what the machines cost on the days that are due."""
    actions.allocate_due_days(now=now())


@app.task(name="chargeback.tell_budgets", acks_late=True, time_limit=120)
def tell_budgets(**_: object) -> None:
    """Tell of budgets that have reached a threshold."""
    alerts.tell_budgets(now=now())


@app.task(name="chargeback.read_bills", acks_late=True, time_limit=590)
def read_bills(**_: object) -> None:
    """Read the cloud's bills that are new or changed."""
    reconcile.read_bills(store=bills_from_settings(), export=export_from_settings(), now=now())


@app.task(name="chargeback.make_documents", acks_late=True, time_limit=300)
def make_documents(**_: object) -> None:
    """Make the PDFs of statements that were issued."""
    documents.make_documents(archive=archive_from_settings(), now=now())


@app.task(name="chargeback.estimate_effect", acks_late=True, time_limit=60)
def estimate_effect(*, promotion_id: str, **_: object) -> None:
    """Work out what a promotion that waits does to its model's cost."""
    related = ("registered_model", "model_version", "baseline__registered_model", "eval_run__suite")
    promotion = Promotion.objects.select_related(*related).get(pk=promotion_id)
    keep_effect(promotion=promotion, effect=effect_of(promotion, now()))


@app.task(base=Sweep, name="chargeback.estimate_effects", time_limit=30)
def estimate_effects(**_: object) -> None:
    """Start one task for each promotion that waits."""
    for promotion_id in Promotion.objects.pending().values_list("pk", flat=True):
        estimate_effect.delay(promotion_id=str(promotion_id))
