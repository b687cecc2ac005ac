"""Closing a month: one person of finance asks for it, another one closes.

What is closed is what both saw: the statements' digest is kept with the request, and a close over
other statements is refused. Nothing is ever changed afterwards: what is known later becomes a
correction in the month that is open then.
"""

from collections.abc import Mapping
from datetime import date, datetime

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.accounts.roles import ASKS_TO_CLOSE, CLOSES_MONTHS
from apps.audit.actions import record
from apps.audit.models import Action
from apps.chargeback.closing import checklist, queries
from apps.chargeback.closing.models import ClosedMachine, MonthClose, Statement, StatementLine
from apps.chargeback.closing.statements import COST, LIST, Draft, digest_of_all, total_of
from apps.chargeback.documents import actions as documents
from apps.chargeback.periods import hold_months
from apps.chargeback.reconciliation.bill.queries import machine_times
from apps.common import decisions
from apps.common.errors import DomainError, require
from apps.common.periods import month_bounds

Status = MonthClose.Status


class NotReady(DomainError):
    """Something of the checklist stands in the way."""

    code = "not_ready"


class StaleClose(DomainError):
    """The month is no longer what the person who asked saw."""

    code = "stale_close"


def may_ask(person: User) -> bool:
    """Tell whether this person may ask for a month's close: finance."""
    return person.has_role(*ASKS_TO_CLOSE)


def question(item: MonthClose, person: User) -> decisions.Question:
    """Return who decides about a close, as this person meets it: finance."""
    return decisions.Question(
        item,
        person,
        decider="finance person",
        is_decider=person.has_role(*CLOSES_MONTHS),
        noun="close",
    )


@transaction.atomic
def ask_to_close(
    *,
    month: date,
    requester: User,
    justification: str,
    reasons: Mapping[str, str],
    now: datetime,
) -> MonthClose:
    """Ask for the close of a month, with the checklist and the statements as they are now.

    reasons: key of the checklist → why it is accepted as it is. Raises NotPermitted unless the
    requester is finance; NotReady where something stops it, or a close of it waits.
    """
    require(may_ask(requester), "Only finance closes months.")
    hold_months()
    found = checklist.with_reasons(checklist.checks(month, now), reasons)
    _require_ready(found)
    made = queries.preview(month)
    try:
        with transaction.atomic():
            item = MonthClose.objects.create(
                month=month,
                checklist=[check.plain() for check in found],
                digest=digest_of_all(made),
                list_usd=total_of(made, LIST),
                cost_usd=total_of(made, COST),
                justification=justification,
                requested_by=requester,
                requested_at=now,
            )
    except IntegrityError:
        raise NotReady(f"A close of {month:%B %Y} waits for a decision already.") from None
    data = _facts(item) | {"justification": justification, "accepted": _accepted(item)}
    record(action=Action.CLOSE_REQUESTED, actor=requester, target=item, now=now, data=data)
    return item


def _require_ready(found: list[checklist.Check]) -> None:
    stopping = [check.title for check in found if check.stops]
    if stopping:
        raise NotReady(f"The month cannot be closed yet. Not so: {'; '.join(stopping)}.")


@transaction.atomic
def close_month(*, item: MonthClose, approver: User, reason: str, now: datetime) -> MonthClose:
    """Close a month: issue its statements, exactly those that were previewed.

    Raises NotPermitted unless the approver is finance and did not ask for it; AlreadyDecided;
    StaleClose where the statements are others by now; NotReady where something stops it by now.
    """
    asks = question(item, approver)
    decisions.permit(asks)
    hold_months()
    item.refresh_from_db()
    made = _as_seen(item, now) if item.status == Status.PENDING else []
    decisions.decide(asks, status=Status.CLOSED, reason=reason, now=now)
    documents.ask_for([_issue(item, draft, now) for draft in made], now=now)
    _keep_machines(item)
    data = _facts(item) | {"reason": reason, "statements": len(made), "accepted": _accepted(item)}
    record(action=Action.MONTH_CLOSED, actor=approver, target=item, now=now, data=data)
    return item


def _as_seen(item: MonthClose, now: datetime) -> list[Draft]:
    """Return the statements that the person who asked saw. Raises NotReady or StaleClose where
    they, or what was accepted, are others by now.
    """
    found = checklist.checks(item.month, now)
    _require_ready(checklist.with_reasons(found, _accepted(item)))
    made = queries.preview(item.month)
    if digest_of_all(made) != item.digest or _has_grown(item, found):
        raise StaleClose(
            "The month has changed since its close was asked for. Nothing was closed: reject it, "
            "look at the month again, and ask anew."
        )
    return made


def _has_grown(item: MonthClose, found: list[checklist.Check]) -> bool:
    """Tell whether something was accepted that is another thing by now."""
    seen = {check["key"]: check["words"] for check in item.checklist if check["accepted"]}
    return any(check.stops and seen.get(check.key, check.words) != check.words for check in found)


def _issue(item: MonthClose, draft: Draft, now: datetime) -> Statement:
    """Keep one statement with its lines, and return it."""
    statement = Statement.objects.create(
        close=item,
        number=draft.number,
        cost_center=draft.cost_center,
        list_usd=draft.total(LIST),
        cost_usd=draft.total(COST),
        content=draft.content,
        digest=draft.digest,
        issued_at=now,
    )
    StatementLine.objects.bulk_create(
        [
            StatementLine(
                statement=statement,
                position=position,
                basis=line.key.basis,
                usage_month=line.key.usage_month,
                team=line.key.team,
                model=line.key.model,
                version=line.key.version,
                item=line.key.item,
                rate_id=line.key.rate,
                is_estimated=line.key.is_estimated,
                quantity=line.amount.quantity,
                exact_usd=line.amount.usd,
                amount_usd=line.cents,
            )
            for position, line in enumerate(draft.lines, start=1)
        ],
        batch_size=1000,
    )
    return statement


def _keep_machines(item: MonthClose) -> None:
    """Keep what the ledger says of each machine of the month now."""
    times = machine_times(*month_bounds(item.month))
    ClosedMachine.objects.bulk_create(
        [
            ClosedMachine(close=item, resource=resource[:255], hours=time.hours, usd=time.usd)
            for resource, time in sorted(times.items())
        ],
        batch_size=1000,
    )


@transaction.atomic
def reject_close(*, item: MonthClose, approver: User, reason: str, now: datetime) -> MonthClose:
    """Reject a close. Raises NotPermitted as close_month does, AlreadyDecided."""
    decisions.reject(question(item, approver), reason=reason, now=now)
    data = _facts(item) | {"reason": reason}
    record(action=Action.CLOSE_REJECTED, actor=approver, target=item, now=now, data=data)
    return item


@transaction.atomic
def withdraw_close(*, item: MonthClose, actor: User, now: datetime) -> MonthClose:
    """Take a request back. Raises NotPermitted unless actor made it; AlreadyDecided."""
    decisions.withdraw(question(item, actor), now=now)
    record(action=Action.CLOSE_WITHDRAWN, actor=actor, target=item, now=now, data=_facts(item))
    return item


def _facts(item: MonthClose) -> dict[str, object]:
    """Return what the audit record says of a close."""
    return {
        "month": f"{item.month:%Y-%m}",
        "digest": item.digest,
        "list_usd": str(item.list_usd),
        "cost_usd": str(item.cost_usd),
    }


def _accepted(item: MonthClose) -> dict[str, str]:
    """Return what was accepted although it was open: key → why."""
    return {check["key"]: check["accepted"] for check in item.checklist if check["accepted"]}
