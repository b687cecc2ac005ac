"""Celery tasks of apps.chargeback: one call each."""

from django.utils.timezone import now

from apps.chargeback import actions
from apps.chargeback.budgets import alerts
from worker.celery import app


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
