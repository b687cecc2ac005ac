"""Opening a record, and naming who may beside auditors.

To read is an act: it needs a reason and a recent sign-in, is an event of the audit record, and the
team whose call it was is told, before anything is opened.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.urls import reverse

from apps.accounts.models import Role, Team, User
from apps.accounts.people import holders
from apps.accounts.roles import MAY_BE_NAMED_READERS, OVERSEES_PROMPTS, READS_PROMPTS
from apps.audit.actions import record as write_event
from apps.audit.models import Action
from apps.common.errors import DomainError, require
from apps.common.sign_ins import require_fresh_sign_in
from apps.notices.actions import tell
from apps.notices.models import Kind
from apps.prompts.models import PromptRecord
from apps.prompts.reading.models import NamedReader, Reading
from apps.prompts.rules.actions import permit_asking

MOST_DAYS = 90  # for which somebody is named at once


class BadReader(DomainError):
    """The person cannot be named, or is not named any more."""

    code = "bad_reader"


def may_read(person: User, now: datetime) -> bool:
    """Tell whether this person may search the record and read it: an auditor, or a reviewer who is
    named. One query for reviewers.
    """
    if person.has_role(*READS_PROMPTS):
        return True
    if not person.has_role(*MAY_BE_NAMED_READERS):
        return False
    return NamedReader.objects.active(now).filter(reader=person).exists()


@transaction.atomic
def read_record(*, record: PromptRecord, reader: User, reason: str, now: datetime) -> Reading:
    """Note that somebody opens a record, and tell the team's leads; where it has none, those who
    oversee the record.

    Raises NotPermitted unless the reader may, FreshSignInNeeded.
    """
    require(may_read(reader, now), "Only an auditor, or a reviewer whom one named, reads prompts.")
    require_fresh_sign_in(reader)
    reading = Reading.objects.create(
        record_id=record.pk,
        call_id=record.call_id,
        team=record.team,
        model=record.model,
        reader=reader,
        reason=reason,
        read_at=now,
    )
    data = {"record": str(record.pk), "call": str(record.call_id), "team": record.team,
            "model": record.model, "reason": reason}  # fmt: skip
    write_event(action=Action.PROMPT_READ, actor=reader, target=reading, now=now, data=data)
    leads = _leads(record.team)
    tell(
        leads or _others(reader),
        kind=Kind.PROMPT,
        title=f"A prompt of {record.team} to {record.model} was read (call {record.call_id})",
        path=_where(record) if leads else reverse("prompts:reader_list"),
        key=f"prompt-read:{reading.pk}",
        now=now,
    )
    return reading


def _leads(slug: str) -> list[User]:
    team = Team.objects.filter(slug=slug).first()
    return holders(Role.TEAM_LEAD, team=team) if team else []


def _others(reader: User) -> list[User]:
    return [one for one in holders(*OVERSEES_PROMPTS) if one.person != reader.person]


def _where(record: PromptRecord) -> str:
    """Return where the team sees its call: what became of it, and never its text."""
    return f"{reverse('gateway:why')}?request_id={record.call_id}"


@transaction.atomic
def name_reader(*, reader: User, days: int, reason: str, actor: User, now: datetime) -> NamedReader:
    """Let a reviewer search and read for some days from now on. Raises NotPermitted unless the
    actor is an auditor; BadReader for somebody who is no reviewer, oneself, or too long.
    """
    permit_asking(actor)
    require_fresh_sign_in(actor)
    if reader.person == actor.person or not reader.has_role(*MAY_BE_NAMED_READERS):
        raise BadReader("Name another person, who is a reviewer.")
    if not 1 <= days <= MOST_DAYS:
        raise BadReader(f"Somebody is named for 1 to {MOST_DAYS} days.")
    named = NamedReader.objects.create(
        reader=reader, named_by=actor, reason=reason, active_from=now,
        active_to=now + timedelta(days=days),
    )  # fmt: skip
    data = {"reader": reader.username, "days": days, "reason": reason}
    write_event(action=Action.PROMPT_READER_NAMED, actor=actor, target=named, now=now, data=data)
    return named


@transaction.atomic
def end_reader(*, named: NamedReader, reason: str, actor: User, now: datetime) -> NamedReader:
    """Let a named reader read no more. Raises NotPermitted unless the actor is an auditor;
    BadReader where that is over already.
    """
    permit_asking(actor)
    if not NamedReader.objects.active(now).filter(pk=named.pk).update(active_to=now):
        raise BadReader("This is over already.")
    named.refresh_from_db()
    data = {"reader": named.reader.username, "reason": reason}
    write_event(action=Action.PROMPT_READER_ENDED, actor=actor, target=named, now=now, data=data)
    return named
