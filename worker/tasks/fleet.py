"""Celery tasks of apps.fleet: one call each."""

from apps.common.clocks import now
from apps.fleet.pricing import reconcile
from apps.integrations.aws.client import client_from_settings
from worker.celery import app


@app.task(name="fleet.fetch_prices", acks_late=True, time_limit=300)
def fetch_prices(**_: object) -> None:
    """Ask AWS for the prices of machines that are due."""
    reconcile.fetch_prices(aws=client_from_settings(), now=now())
