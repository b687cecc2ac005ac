"""Celery tasks of apps.slo: load, one call, nothing else."""

from django.utils.timezone import now

from apps.slo import measure as measuring
from worker.celery import app


@app.task(name="slo.measure", time_limit=55)
def measure(**_: object) -> None:
    """Work out how every objective stands."""
    measuring.measure(now=now())
