"""Every change of suites: those that ship become rows, those of teams are asked for by one person
and decided by another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from apps.accounts.models import User
from apps.accounts.roles import DECIDES_SUITES, OWNS_MODELS
from apps.audit import actions as audit
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.common import decisions
from apps.common.errors import DomainError, require
from apps.common.tasks import enqueue_on_commit
from apps.evals.models import EvalSuite, SuitePacket
from apps.evals.packets.packet import Packet
from apps.evals.scoring.decision import Rule
from apps.evals.suites.shipped import (
    NAMES,
    Suite,
    load,
    packets_digest,
    subset_of,
    suite_digest,
)
from apps.evals.suites.uploads import Upload

Status = EvalSuite.Status


class SuiteChanged(DomainError):
    """The suite's definition changed, but its revision did not."""

    code = "suite_changed"


class CannotTakeSuite(DomainError):
    """The suite cannot be asked for as it stands."""

    code = "cannot_take_suite"


# -- Those that ship -------------------------------------------------------------------------------


@transaction.atomic
def ensure_suite(*, suite: Suite, now: datetime, judges: Sequence[str] = ()) -> EvalSuite:
    """Return the row of a suite that ships with the product, made with its packets where it is
    missing. judges: the models that it judges from then on. Raises SuiteChanged.
    """
    facts = {
        "title": suite.title, "about": suite.about, "digest": suite.digest,
        "packets_digest": suite.packets_digest, "packet_count": suite.packet_count,
        "thresholds": suite.thresholds, "rule": suite.rule, "question": suite.question,
        "judges": list(judges), "status": Status.SHIPPED, "requested_at": now, "decided_at": now,
    }  # fmt: skip
    row, _ = EvalSuite.objects.get_or_create(
        slug=suite.slug, revision=suite.revision, defaults=facts
    )
    if row.digest != suite.digest:
        raise SuiteChanged(
            f"{suite.slug} r{suite.revision} changed: give the changed suite the next revision."
        )
    if not SuitePacket.objects.filter(packets_digest=suite.packets_digest).exists():
        _keep_packets(suite.packets_digest, suite.packets)
    return row


def ensure_shipped(
    *, now: datetime, judges: Mapping[str, Sequence[str]] | None = None
) -> list[EvalSuite]:
    """Return the rows of all suites that ship. judges: slug → the models that a suite judges, where
    the row is made now.
    """
    suites, named = [load(name) for name in NAMES], judges or {}
    return [
        ensure_suite(suite=suite, now=now, judges=named.get(suite.slug, ())) for suite in suites
    ]


def _keep_packets(digest: str, packets: Sequence[Packet]) -> None:
    """Make the rows of packets that belong together, where nobody else makes them just now."""
    subset = subset_of(packets)
    rows = (
        SuitePacket(
            packets_digest=digest, number=number, packet_id=packet.id, pages=packet.pages,
            style=packet.style, in_subset=packet.id in subset, content=packet.as_json(),
        )
        for number, packet in enumerate(packets, 1)
    )  # fmt: skip
    SuitePacket.objects.bulk_create(rows, ignore_conflicts=True)


# -- Those of teams --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parts:
    """What a revision is made of, its packets kept already."""

    packets_digest: str
    packet_count: int
    rule: dict[str, Any]
    question: dict[str, Any]


def may_ask(person: User) -> bool:
    """Tell whether this person may ask for a suite, or for a change of one: their team owns it."""
    return person.has_role(*OWNS_MODELS) and person.team_id is not None


def permit_asking(person: User) -> None:
    """Raise NotPermitted unless this person may ask for a suite."""
    require(may_ask(person), "Model owners upload suites for the models of their team.")


def question(suite: EvalSuite, person: User) -> decisions.Question:
    """Return who decides about a revision, as this person meets it: a reviewer."""
    return decisions.Question(
        suite,
        person,
        decider="reviewer",
        is_decider=person.has_role(*DECIDES_SUITES),
        noun="suite",
    )


@transaction.atomic
def request_suite(
    *, upload: Upload, justification: str, declared: bool, actor: User, now: datetime
) -> EvalSuite:
    """Ask that a suite, or the next revision of one, judges models of one's team.

    declared: the person says that no packet holds data of a member. Raises NotPermitted unless
    they own the suite and each of the models; CannotTakeSuite where it is not declared, a name is
    taken or unknown, nothing changes, or another revision waits.
    """
    permit_asking(actor)
    if not declared:
        raise CannotTakeSuite("Say that no packet holds data of a member; without that, no suite.")
    _permit_name(upload, actor)
    _permit_models(upload, actor)
    parts = _parts(upload)
    facts = {
        "slug": upload.slug, "title": upload.title, "about": upload.about,
        "packets_digest": parts.packets_digest, "thresholds": upload.thresholds,
        "rule": parts.rule, "question": parts.question,
    }  # fmt: skip
    _require_change(facts, upload.judges)
    newest = EvalSuite.objects.filter(slug=upload.slug).aggregate(Max("revision"))
    revision = (newest["revision__max"] or 0) + 1
    try:
        with transaction.atomic():
            suite = EvalSuite.objects.create(
                **facts, revision=revision, digest=suite_digest(facts | {"revision": revision}),
                packet_count=parts.packet_count, judges=list(upload.judges),
                owner_team=actor.team, justification=justification, requested_by=actor,
                requested_at=now,
            )  # fmt: skip
    except IntegrityError as error:
        raise CannotTakeSuite(
            f"A revision of {upload.slug} waits for a decision. Have it decided or withdraw it."
        ) from error
    data = {
        "suite": str(suite), "digest": suite.digest, "judges": suite.judges,
        "thresholds": suite.thresholds, "rule": suite.rule, "packets": suite.packets_digest,
        "declared_free_of_member_data": True, "justification": justification,
    }  # fmt: skip
    audit.record(action=Action.SUITE_REQUESTED, actor=actor, target=suite, now=now, data=data)
    return suite


def _permit_name(upload: Upload, actor: User) -> None:
    found = EvalSuite.objects.filter(slug=upload.slug).order_by("-revision").first()
    if found is None:
        return
    if found.owner_team_id is None:
        raise CannotTakeSuite(
            f"{upload.slug} ships with the product. Give your suite another slug; packets_of may "
            f"name this one."
        )
    require(found.owner_team_id == actor.team_id, f"{upload.slug} is another team's suite.")


def _permit_models(upload: Upload, actor: User) -> None:
    models = {
        model.name: model
        for model in RegisteredModel.objects.visible_to(actor).filter(name__in=upload.judges)
    }
    for name in upload.judges:
        if name not in models:
            raise CannotTakeSuite("judges names a model that there is not.")
        require(
            models[name].is_owned_by(actor), f"{name} is another team's model: they have it judged."
        )


def _parts(upload: Upload) -> _Parts:
    """Return what the revision is made of; its own packets become rows where they are new."""
    if not upload.packets_of:
        digest = packets_digest(upload.packets)
        if not SuitePacket.objects.filter(packets_digest=digest).exists():
            _keep_packets(digest, upload.packets)
        rule = Rule().as_json() if upload.rule is None else upload.rule
        return _Parts(digest, len(upload.packets), rule, upload.question or {})
    base = EvalSuite.objects.in_force().filter(slug=upload.packets_of).first()
    if base is None:
        raise CannotTakeSuite("packets_of names no suite that is in force.")
    return _Parts(
        base.packets_digest,
        base.packet_count,
        base.rule if upload.rule is None else upload.rule,
        base.question if upload.question is None else upload.question,
    )


def _require_change(facts: Mapping[str, Any], judges: Sequence[str]) -> None:
    """Raise CannotTakeSuite where the revision in force says all of this already."""
    now = EvalSuite.objects.in_force().filter(slug=facts["slug"]).first()
    if now is None:
        return
    if all(getattr(now, name) == value for name, value in facts.items()) and (
        list(judges) == now.judges
    ):
        raise CannotTakeSuite(f"Nothing changes: {now} says all of this already.")


@transaction.atomic
def approve_suite(*, suite: EvalSuite, approver: User, reason: str, now: datetime) -> EvalSuite:
    """Put a revision in force: from now on it judges its models. Raises NotPermitted unless the
    approver is a reviewer who did not ask for it; AlreadyDecided.
    """
    decisions.approve(question(suite, approver), reason=reason, now=now)
    _record(Action.SUITE_APPROVED, suite, approver, reason, now)
    # what waits for a result is judged by this suite now
    enqueue_on_commit("promotions.start_approved_promotions")
    return suite


@transaction.atomic
def reject_suite(*, suite: EvalSuite, approver: User, reason: str, now: datetime) -> EvalSuite:
    """Reject a revision. Raises as approve_suite does."""
    decisions.reject(question(suite, approver), reason=reason, now=now)
    _record(Action.SUITE_REJECTED, suite, approver, reason, now)
    return suite


@transaction.atomic
def withdraw_suite(*, suite: EvalSuite, actor: User, now: datetime) -> EvalSuite:
    """Take a revision back. Raises NotPermitted unless actor asked for it; AlreadyDecided."""
    decisions.withdraw(question(suite, actor), now=now)
    audit.record(action=Action.SUITE_WITHDRAWN, actor=actor, target=suite, now=now)
    return suite


def _record(action: Action, suite: EvalSuite, who: User, reason: str, now: datetime) -> None:
    data = {"suite": str(suite), "digest": suite.digest, "reason": reason}
    audit.record(action=action, actor=who, target=suite, now=now, data=data)
