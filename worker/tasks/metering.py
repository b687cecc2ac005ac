"""Celery tasks of apps.metering: one call each."""

from apps.common.clocks import now
from apps.integrations.s3.client import archive_from_settings
from apps.metering import actions, retirement, sealing
from apps.metering.archive import doubles as archived
from apps.metering.archive import reconcile
from apps.metering.gate import reconcile as gate
from apps.metering.met import actions as met
from apps.metering.performance import actions as performance
from apps.metering.quarantine import doubles
from apps.metering.quarantine.actions import replay_waiting as replay
from worker.celery import app


@app.task(name="metering.roll_up_dirty_hours", acks_late=True, time_limit=120)
def roll_up_dirty_hours(**_: object) -> None:
    """Recompute the hours whose events changed."""
    actions.roll_up_dirty_hours(now=now())


@app.task(name="metering.record_engine_hours", acks_late=True, time_limit=120)
def record_engine_hours(**_: object) -> None:
    """Keep what engines counted in the hours that ended lately."""
    actions.record_engine_hours(now=now())


@app.task(name="metering.replay_waiting", acks_late=True, time_limit=120)
def replay_waiting(**_: object) -> None:
    """Count what waited for a team, a model or a version that is known by now."""
    replay(now=now())


@app.task(name="metering.let_in_missing", acks_late=True, time_limit=240)
def let_in_missing(**_: object) -> None:
    """Count the calls that their gate settled, or died with, and no line of the log told of."""
    gate.let_in_missing(now=now())


@app.task(name="metering.make_days", acks_late=True, time_limit=60)
def make_days(**_: object) -> None:
    """Make room for the calls of today and of tomorrow."""
    actions.make_days_ahead(now=now())


@app.task(name="metering.forget_steps", acks_late=True, time_limit=300)
def forget_steps(**_: object) -> None:
    """Forget the five minutes that no burn rate looks back to."""
    met.forget_steps(now=now())


@app.task(name="metering.archive_days", acks_late=True, time_limit=590)
def archive_days(**_: object) -> None:
    """Move old days of calls into the archive, and bring those back that are needed again."""
    reconcile.archive_days(archive=archive_from_settings(), now=now())


@app.task(name="metering.find_doubles", acks_late=True, time_limit=590)
def find_doubles(**_: object) -> None:
    """Find ids that calls of two days have, and take the later call out."""
    doubles.find_doubles(now=now())


@app.task(name="metering.search_archive", acks_late=True, time_limit=590)
def search_archive(**_: object) -> None:
    """Find days of the archive that hold an id of another day, and have them brought back."""
    archived.search_archive(archive=archive_from_settings(), now=now())


@app.task(name="metering.seal_hours", acks_late=True, time_limit=60)
def seal_hours(**_: object) -> None:
    """Seal the hours that no call is expected for any more."""
    sealing.seal_hours(now=now())


@app.task(name="metering.retire_due", acks_late=True, time_limit=120)
def retire_due(**_: object) -> None:
    """Retire the models whose last day is over and that nobody calls."""
    retirement.retire_due(now=now())


@app.task(name="metering.measure_versions", acks_late=True, time_limit=300)
def measure_versions(**_: object) -> None:
    """Measure how fast the versions are that were called in the last day."""
    performance.measure(now=now())
