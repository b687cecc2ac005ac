"""Celery tasks of apps.access: one call each."""

from apps.access import retirement
from apps.access.grants import telling
from apps.access.recertification.queries import period
from apps.common.clocks import now
from worker.celery import app


@app.task(name="access.tell_ends", acks_late=True, time_limit=300)
def tell_ends(**_: object) -> None:
    """Tell people of grants that end."""
    telling.tell_ends(now=now())


@app.task(name="access.tell_looks", acks_late=True, time_limit=300)
def tell_looks(**_: object) -> None:
    """Tell owners of grants that are to be looked at again."""
    telling.tell_looks(period=period(), now=now())


@app.task(name="access.end_grants_of_retired", acks_late=True, time_limit=120)
def end_grants_of_retired(**_: object) -> None:
    """End what is still granted of models that are gone."""
    retirement.end_grants_of_retired(now=now())
