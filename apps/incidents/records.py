"""What the worker writes about an episode's incident in ServiceNow."""

from datetime import datetime

from django.db import transaction

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.incidents.models import Episode, EpisodeNote
from apps.integrations.servicenow.types import Incident

WORKER = System("incidents.reconcile_episode")


@transaction.atomic
def record_reported(*, row: Episode, incident: Incident, is_new: bool, now: datetime) -> None:
    """Keep the number of the incident that was opened, or found again by its correlation id."""
    row.sys_id, row.number = incident.sys_id, incident.number
    row.save(update_fields=("sys_id", "number"))
    data = {"number": incident.number, "found_again": not is_new}
    record(action=Action.INCIDENT_REPORTED, actor=WORKER, target=row, now=now, data=data)


def record_read(*, row: Episode, incident: Incident, now: datetime) -> None:
    """Keep what a look found."""
    row.state, row.state_words = incident.state, incident.state_words[:60]
    row.is_assigned, row.read_at = bool(incident.assigned_to), now
    row.observed_at, row.reason, row.message, row.attempts = now, "", "", 0
    row.save(
        update_fields=(
            "state", "state_words", "is_assigned", "read_at", "observed_at", "reason", "message",
            "attempts",
        )
    )  # fmt: skip


def record_sent(*, note: EpisodeNote, now: datetime) -> None:
    """Keep that a note is in the incident's journal."""
    EpisodeNote.objects.filter(pk=note.pk, sent_at=None).update(sent_at=now)


@transaction.atomic
def record_trouble(
    *,
    row: Episode,
    reason: str,
    message: str,
    before: tuple[str, str],
    is_alarm: bool,
    now: datetime,
) -> None:
    """Keep why ServiceNow could not be told. is_alarm: it is not merely away, so the record says
    so, once: where the look before, by its reason and message, did not find the same.
    """
    is_new = before != (reason, message)
    row.reason, row.message, row.observed_at = reason, message, now
    row.save(update_fields=("reason", "message", "observed_at"))
    if is_alarm and is_new:
        data = {"code": reason, "message": message}
        record(action=Action.INCIDENT_DOUBTED, actor=WORKER, target=row, now=now, data=data)


@transaction.atomic
def record_ended(*, row: Episode, report: str, now: datetime) -> None:
    """End the report of an episode that is over: nothing more is sent."""
    row.report, row.next_check_at = report, None
    row.save(update_fields=("report", "next_check_at"))
    if report != Episode.Report.NONE:
        data = {"number": row.number, "outcome": row.get_report_display()}
        record(action=Action.INCIDENT_RESOLVED, actor=WORKER, target=row, now=now, data=data)
