"""Decisions that one person asks for and another one takes: access, promotions, capacity.

Who may decide is each app's own rule, which it hands over in a `Question`. The rest stands here
once: nobody decides on their own or with a stale sign-in, a row is decided exactly once, and a page
says to each person whether they decide, or who does. Check constraints (`two_people`) hold that two
people decide, and once, against every door.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from django.db.models import CheckConstraint, F, Model, Q, QuerySet
from django.urls import reverse

from apps.common.badges import Badge
from apps.common.errors import DomainError, NotPermitted, require
from apps.common.sign_ins import SignIn, require_fresh_sign_in

PENDING, APPROVED, REJECTED, WITHDRAWN = "PENDING", "APPROVED", "REJECTED", "WITHDRAWN"
# what became of a row that waits for one other person's yes
BADGES = {
    PENDING: Badge("warn", "clock", "Needs 1 approval"),
    APPROVED: Badge("ok", "circle-check", "Approved"),
    REJECTED: Badge("bad", "circle-x", "Rejected"),
    WITHDRAWN: Badge("idle", "undo-2", "Withdrawn"),
}
Row = TypeVar("Row", bound=Model)


class NotOnesOwn(NotPermitted):
    """The person asked for it, so somebody else decides."""


class AlreadyDecided(DomainError):
    """The row is no longer pending: somebody decided meanwhile, or it was withdrawn."""

    code = "already_decided"


class Asked(Protocol):
    """A row that somebody asked for and somebody else decides about."""

    pk: Any
    status: Any
    requested_by_id: Any
    requested_by: Any

    def get_status_display(self) -> str:
        """Return the status in words."""

    def refresh_from_db(self) -> None:
        """Read the row again."""


class Record(Protocol):
    """A row that keeps who asked for something and why, and who decided and why."""

    requested_by: Any
    justification: Any
    status: Any
    decided_by: Any
    decision_reason: Any


class Person(Protocol):
    """Somebody who has signed in. person: the same for each of their accounts. sign_in: when and
    how, None where nobody said.
    """

    pk: Any
    person: Any
    sign_in: SignIn | None


One = TypeVar("One", bound=Person)


@dataclass(frozen=True)
class Question:
    """A row that asks for a decision, as one person meets it.

    decider: who decides, without an article: "model owner of claims". is_decider: whether the
    person is one, by the app's own rule. noun: what the row is; asked: what its author did.
    withdrawer, is_withdrawer: the same of who may take it back beside its author, "" for nobody.
    barred: why this person does not decide although they are one who does, "" where nothing keeps
    them from it. is_withdrawable: whether it can be taken back at all.
    """

    row: Asked
    person: Person
    decider: str
    is_decider: bool
    noun: str = "request"
    asked: str = "asked for"
    withdrawer: str = ""
    is_withdrawer: bool = False
    barred: str = ""
    is_withdrawable: bool = True

    @property
    def is_pending(self) -> bool:
        """Tell whether it still waits."""
        return bool(self.row.status == PENDING)

    @property
    def is_own(self) -> bool:
        """Tell whether the person asked for it, with this account or with another of theirs."""
        if self.is_author:
            return True
        asked = self.row.requested_by  # asked for where it was not fetched
        return bool(asked and asked.person == self.person.person)

    @property
    def is_author(self) -> bool:
        """Tell whether this account asked for it."""
        return bool(self.row.requested_by_id == self.person.pk)

    @property
    def may_decide(self) -> bool:
        """Tell whether the person decides, once they have signed in recently enough."""
        return self.is_decider and not self.is_own and not self.barred

    @property
    def who(self) -> str:
        """Return who decides, as this person reads it: "another reviewer" where they are one but
        asked for it.
        """
        article = "another" if self.is_decider and (self.is_own or self.barred) else "a"
        return f"{article} {self.decider}"

    @property
    def may_withdraw(self) -> bool:
        """Tell whether the person may take it back."""
        return self.is_withdrawable and (self.is_author or self.is_withdrawer)


def deciders(people: Iterable[One], ask: Callable[[One], Question]) -> list[One]:
    """Return those of `people` who decide about a row that they did not ask for themselves, and
    whom nothing bars from it. ask: gives the row's question as one person meets it.
    """
    asked = ((one, ask(one)) for one in people)
    return [one for one, question in asked if question.may_decide]


def permit(question: Question) -> None:
    """Raise NotPermitted unless the person may decide, also where something bars them: NotOnesOwn
    where they asked for it, FreshSignInNeeded where they have to sign in again first.
    """
    require(question.is_decider, f"Only a {question.decider} can decide on this {question.noun}.")
    if question.is_own:
        raise NotOnesOwn(
            f"Nobody decides on their own {question.noun}. It takes another {question.decider}."
        )
    require(not question.barred, question.barred)
    require_fresh_sign_in(question.person)


def permit_withdrawal(question: Question) -> None:
    """Raise NotPermitted unless the person may take the row back."""
    others = f", or a {question.withdrawer}," if question.withdrawer else ""
    require(
        question.may_withdraw,
        f"Only the person who {question.asked} this{others} can withdraw the {question.noun}.",
    )


def settle(pending: QuerySet[Any], row: Asked, *, noun: str = "request", **values: object) -> None:
    """Take a row out of pending, exactly once, and read it again. One update, one query.

    pending: the rows that still wait. values: the columns to set, its status among them. Raises
    AlreadyDecided where it waits no longer.
    """
    changed = pending.filter(pk=row.pk).update(**values)
    row.refresh_from_db()
    if not changed:
        raise AlreadyDecided(f"This {noun} is {row.get_status_display().lower()} already.")


def decide(
    question: Question, *, status: str, now: datetime, reason: str = "", **more: object
) -> None:
    """Settle a question's row, which keeps that this person decided it or took it back, when and
    why. more: other columns to set. Raises AlreadyDecided where it waits no longer.

    Nobody asks here whether the person may: that is permit's, before the work that an answer takes.
    """
    row = question.row
    settle(
        cast(type[Model], type(row))._default_manager.filter(status=PENDING),
        row,
        noun=question.noun,
        status=status,
        decided_by=question.person,
        decided_at=now,
        decision_reason=reason,
        **more,
    )


def approve(question: Question, *, reason: str, now: datetime) -> None:
    """Say yes. Raises what permit raises, and AlreadyDecided."""
    permit(question)
    decide(question, status=APPROVED, reason=reason, now=now)


def reject(question: Question, *, reason: str, now: datetime, **more: object) -> None:
    """Say no. more: other columns to set. Raises what permit raises, and AlreadyDecided."""
    permit(question)
    decide(question, status=REJECTED, reason=reason, now=now, **more)


def withdraw(question: Question, *, now: datetime, **more: object) -> None:
    """Take back what was asked for. more: other columns to set. Raises what permit_withdrawal
    raises, and AlreadyDecided.
    """
    permit_withdrawal(question)
    decide(question, status=WITHDRAWN, reason="", now=now, **more)


def two_people(
    name: str, *, decided: Collection[str] = (APPROVED, REJECTED)
) -> tuple[CheckConstraint, ...]:
    """Return what the database holds of a row that one person asked for and another decided,
    whatever door they use: nobody decides on their own, somebody decided, and it is known when.

    name: what the constraints' names begin with. decided: the statuses that take a decision.
    """
    return (
        CheckConstraint(
            condition=Q(decided_by__isnull=True)
            | Q(status=WITHDRAWN)
            | ~Q(decided_by=F("requested_by")),
            name=f"{name}_not_decided_by_requester",
        ),
        CheckConstraint(
            condition=~Q(status__in=decided) | Q(decided_by__isnull=False),
            name=f"{name}_decided_by_somebody",
        ),
        CheckConstraint(
            condition=Q(status=PENDING, decided_at__isnull=True)
            | (~Q(status=PENDING) & Q(decided_at__isnull=False)),
            name=f"{name}_decided_at_when_decided",
        ),
    )


def waiting_for(
    pending: QuerySet[Row], person: Person, *, is_decider: bool = True
) -> QuerySet[Row]:
    """Return what waits for this person, oldest first: never what they asked for themselves, with
    whichever of their accounts.

    pending: the waiting rows that they decide about by the app's own rule; is_decider False: none.
    """
    if not is_decider:
        return pending.none()
    return pending.exclude(requested_by__person=person.person).order_by("requested_at", "pk")


@dataclass(frozen=True)
class Card:
    """What a page says to one person while a row waits (components/_decide.html).

    title, text: why there is no form for this person; "" where there is one. approve, reject,
    withdraw: what the buttons say: the consequence. withdraw_url: "" where they cannot. blocked:
    title and text of why nobody can approve it now, or None.
    """

    may_decide: bool
    title: str
    text: str
    approve: str
    reject: str
    withdraw: str
    approve_url: str
    reject_url: str
    withdraw_url: str
    blocked: tuple[str, str] | None = None

    @property
    def head_actions(self) -> list[Mapping[str, str]]:
        """Return the button of the page's head that leads to the form."""
        link = {"label": "Decide…", "url": "#decide", "style": "primary"}
        return [link] if self.may_decide else []


def card(
    question: Question,
    *,
    urls: str,
    approve: str,
    blocked: tuple[str, str] | None = None,
) -> Card | None:
    """Return what the page says while the row waits; None when it was decided or withdrawn.

    urls: what the names of its addresses begin with: "access:request" for access:request_approve,
    _reject and _withdraw. approve: the consequence of a yes. blocked: as Card has it.
    """
    if not question.is_pending:
        return None
    pk, noun = question.row.pk, question.noun
    title, text = _why_not(question)
    return Card(
        may_decide=not title,
        title=title,
        text=text,
        approve=approve,
        reject=f"Reject the {noun}",
        withdraw=f"Withdraw the {noun}",
        approve_url=reverse(f"{urls}_approve", args=[pk]),
        reject_url=reverse(f"{urls}_reject", args=[pk]),
        withdraw_url=reverse(f"{urls}_withdraw", args=[pk]) if question.may_withdraw else "",
        blocked=blocked,
    )


def _why_not(question: Question) -> tuple[str, str]:
    """Return why this person does not decide; two empty texts for one who does."""
    if question.is_own:
        return (
            f"You {question.asked} this, so {question.who} decides.",
            f"Nobody decides on their own {question.noun}.",
        )
    if not question.is_decider:
        return f"A {question.decider} decides on this.", "You can follow it here."
    if question.barred:
        return f"{question.who[:1].upper()}{question.who[1:]} decides on this.", question.barred
    return "", ""


def asked_facts(row: Record, asked: str) -> list[tuple[str, object]]:
    """Return who asked and why, and who decided and why, as a page lists it (components/_kv.html).

    asked: what the first label says: "Asked by".
    """
    return [
        (asked, f"{row.requested_by} ({row.requested_by.username})"),
        ("Why", row.justification),
        *decided_facts(row),
    ]


def decided_facts(row: Record) -> list[tuple[str, object]]:
    """Return who decided and why, as `asked_facts` does; nothing while it waits, nor where it was
    taken back.
    """
    if row.decided_by is None or row.status == WITHDRAWN:
        return []
    return [("Decided by", str(row.decided_by)), ("Reason", row.decision_reason)]
