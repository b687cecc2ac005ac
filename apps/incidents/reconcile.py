"""Telling ServiceNow of an episode: one incident, a note for each thing that follows, and its
resolution where nobody there has taken it on.

A note that may have arrived although its answer did not is looked for in the journal before it is
sent again.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.urls import reverse

from apps.common.leases import reschedule, retry_at, take_lease
from apps.incidents import records
from apps.incidents.models import Episode
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.servicenow.client import ServiceNowClient
from apps.integrations.servicenow.parsing import Untrue
from apps.integrations.servicenow.types import Incident

SLOW = timedelta(minutes=1)
NEW, IN_PROGRESS = "1", "2"
CANCELED = "8"
WHAT = {
    Episode.Kind.DRIFT: "does not serve what was approved",
    Episode.Kind.ROLLOUT_FAILED: "could not be rolled out",
    Episode.Kind.QUARANTINED: "is not to be trusted any more",
    Episode.Kind.GUARD: "has calls that the gateway's guard blocks",
    Episode.Kind.BURN: "uses up its error budget too fast",
    Episode.Kind.SATURATED: "has no room for its callers",
}
AWAY, UNTRUE, REFUSED, TWO, GONE = "AWAY", "UNTRUE", "REFUSED", "TWO_INCIDENTS", "GONE"


class Trouble(Exception):
    """What a look found that a person has to see to. reason: the row's code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def reconcile_episode(*, row: Episode, servicenow: ServiceNowClient | None, now: datetime) -> None:
    """Look at one episode's incident and do the next thing for it."""
    if servicenow is None or not take_lease(row, now=now):
        return
    before, pause = (row.reason, row.message), timedelta(seconds=settings.SERVICENOW_LOOK_SECONDS)
    try:
        _look(row, servicenow, now)
    except TemporaryError as error:
        _trouble(row, AWAY, str(error), before, now)
        reschedule(row, at=retry_at(row, now=now, retry_after=error.retry_after))
        return
    except Trouble as error:
        _trouble(row, error.reason, str(error), before, now)
        pause = SLOW
    except PermanentError as error:
        reason = UNTRUE if isinstance(error, Untrue) else REFUSED
        _trouble(row, reason, str(error), before, now)
        pause = SLOW
    if not row.report:
        reschedule(row, at=now + pause)


def _trouble(
    row: Episode, reason: str, message: str, before: tuple[str, str], now: datetime
) -> None:
    is_alarm = reason != AWAY
    records.record_trouble(
        row=row, reason=reason, message=message, before=before, is_alarm=is_alarm, now=now
    )


def _look(row: Episode, servicenow: ServiceNowClient, now: datetime) -> None:
    is_over = row.status == Episode.Status.CLOSED
    if is_over and not row.sys_id and not servicenow.incidents_with(row.correlation_id):
        records.record_ended(row=row, report=Episode.Report.NONE, now=now)
        return
    incident = _found(row, servicenow, now)
    records.record_read(row=row, incident=incident, now=now)
    _send_notes(row, incident, servicenow, now)
    if is_over:
        _end(row, incident, servicenow, now)


def _found(row: Episode, servicenow: ServiceNowClient, now: datetime) -> Incident:
    """Return our incident: the one that carries our correlation id, or a new one."""
    found = servicenow.incidents_with(row.correlation_id)
    alive = [incident for incident in found if incident.state != CANCELED] or found[-1:]
    if len(alive) > 1:
        numbers = " and ".join(incident.number for incident in alive)
        raise Trouble(
            TWO, f"{numbers} carry the same correlation id. Cancel all but one in ServiceNow."
        )
    if row.sys_id and not any(incident.sys_id == row.sys_id for incident in alive):
        raise Trouble(GONE, f"ServiceNow no longer shows {row.number}, or not as ours.")
    if row.sys_id:
        return alive[0]
    incident = alive[0] if alive else servicenow.open_incident(_fields(row))
    records.record_reported(row=row, incident=incident, is_new=not alive, now=now)
    return incident


def _send_notes(
    row: Episode, incident: Incident, servicenow: ServiceNowClient, now: datetime
) -> None:
    for note in row.notes.filter(sent_at=None):
        if note.mark not in incident.notes:
            servicenow.add_note(incident.sys_id, note.text)
        records.record_sent(note=note, now=now)


def _end(row: Episode, incident: Incident, servicenow: ServiceNowClient, now: datetime) -> None:
    """Resolve the incident where nobody there has it in hand; otherwise its people do."""
    if incident.state not in (NEW, IN_PROGRESS) or incident.assigned_to:
        records.record_ended(row=row, report=Episode.Report.LEFT, now=now)
        return
    last = row.notes.last()
    resolved = servicenow.resolve_incident(
        incident.sys_id,
        code=settings.SERVICENOW_INCIDENT_CLOSE_CODE,
        notes=last.words if last else "It is over.",
    )
    records.record_read(row=row, incident=resolved, now=now)
    if resolved.state in (NEW, IN_PROGRESS):
        raise Untrue(f"ServiceNow took the resolution, but {resolved.number} is still open.")
    records.record_ended(row=row, report=Episode.Report.RESOLVED, now=now)


def _urgency(row: Episode) -> str:
    """Return how urgent it is: 1 high, 2 medium. A budget that burns slowly pages nobody."""
    if row.kind == Episode.Kind.BURN:
        return "1" if row.is_page else "2"
    return "2" if row.kind in (Episode.Kind.ROLLOUT_FAILED, Episode.Kind.SATURATED) else "1"


def _fields(row: Episode) -> dict[str, str]:
    """Return what the incident says when it is opened. Impact and urgency are ServiceNow's 1 high
    to 3 low; its priority follows from them.
    """
    version = row.model_version.name
    ours = {
        "short_description": f"{version} {WHAT[Episode.Kind(row.kind)]}",
        "description": "\n".join(
            (
                row.words,
                f"Began at {row.opened_at:%Y-%m-%d %H:%M} UTC",
                settings.PORTAL_URL + reverse("incidents:episode_detail", args=[row.pk]),
            )
        ),
        "impact": "2",
        "urgency": _urgency(row),
        "correlation_id": row.correlation_id,
        "correlation_display": "Quartermaster",
    }
    theirs = {
        "caller_id": settings.SERVICENOW_CALLER,
        "assignment_group": settings.SERVICENOW_ASSIGNMENT_GROUP,
        "cmdb_ci": settings.SERVICENOW_CI,
    }
    return ours | {name: value for name, value in theirs.items() if value}
