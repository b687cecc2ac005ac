"""What there is to tell of promotions: proposals and policies that wait, what became of them, and
rollouts that ended, hold, or serve what was not approved.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial

from django.db.models import Count, Q
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import DECIDES_POLICIES, OWNS_MODELS, STEERS_ROLLOUTS
from apps.catalog.people import menders_of, owners_of
from apps.common.decisions import deciders
from apps.notices.models import Kind, Notice
from apps.notices.news import LATELY, News, outcomes, tell_asked, tell_news, tell_waiting
from apps.promotions.actions import question
from apps.promotions.models import Approval, Promotion, Rollout
from apps.promotions.policy import actions as policy
from apps.promotions.policy.models import PolicyChange
from apps.promotions.rollouts import actions as steering
from apps.promotions.rollouts.plan import HoldCode

PREFIX, POLICY, HELD = "promotion", "policy-change", "rollout-held"
Status, Going = Promotion.Status, Rollout.Status
TOLD = (Status.APPROVED, Status.REJECTED, Status.EXPIRED, Status.SUPERSEDED)
RELATED = ("registered_model__owner_team", "model_version__registered_model", "requested_by")


def asked_title(promotion: Promotion) -> str:
    """Return a proposal in a line, as whoever decides reads it."""
    return f"Review {promotion.model_version.name} for production"


def own_title(promotion: Promotion) -> str:
    """Return a proposal in a line, as whoever proposed it reads it."""
    return f"Your proposal of {promotion.model_version.name} for production"


def policy_title(change: PolicyChange) -> str:
    """Return a change of a policy in a line, as whoever decides reads it."""
    return f"Change of the {change}"


def own_policy_title(change: PolicyChange) -> str:
    """Return a change of a policy in a line, as whoever proposed it reads it."""
    return f"Your change of the {change}"


def held_title(rollout: Rollout) -> str:
    """Return that a rollout waits for somebody to let it go on."""
    return f"Let {rollout.model_version.name} continue, or take it back"


def failed_title(rollout: Rollout) -> str:
    """Return that a rollout failed."""
    return f"Rollout of {rollout.model_version.name} failed"


def path_of(promotion: Promotion) -> str:
    """Return a promotion's page."""
    return reverse("promotions:promotion_detail", args=[promotion.pk])


def path_of_rollout(rollout: Rollout) -> str:
    """Return a rollout's page."""
    return reverse("promotions:rollout_detail", args=[rollout.pk])


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    return _tell_promotions(now) + _tell_policies(now) + _tell_rollouts(now)


def _tell_promotions(now: datetime) -> int:
    rows = Promotion.objects.select_related(*RELATED, "policy_revision")
    lately = rows.filter(decided_at__gte=now - LATELY, status__in=TOLD)
    # a proposal whose approvals were voided waits anew
    voided = Count("approvals", filter=Q(approvals__voided_at__isnull=False))
    waiting = [
        News(
            key=f"{PREFIX}:{row.pk}:{row.times}",  # type: ignore[attr-defined]  # annotated
            kind=Kind.WAITS,
            title=asked_title(row),
            path=path_of(row),
            people=partial(_deciders, row),
        )
        for row in rows.pending().annotate(times=voided)
    ]
    decided = outcomes(PREFIX, lately, title=own_title, path=path_of)
    told = tell_waiting(PREFIX, waiting, now=now) + tell_news(decided, now=now)
    _take_from_who_approved(now)
    return told


def _deciders(row: Promotion) -> list[User]:
    people = deciders(holders(*row.policy_revision.rules.approver_roles), partial(question, row))
    given = set(row.approvals.counting().values_list("approver__person", flat=True))
    return [one for one in people if one.person not in given]


def _take_from_who_approved(now: datetime) -> None:
    """Take the notice of a promotion that waits for more approvals from those who gave theirs. One
    query, and one for each such approval.
    """
    given = Approval.objects.counting().filter(promotion__status=Status.PENDING)
    for promotion, person in given.values_list("promotion_id", "approver__person"):
        theirs = Q(person=person) | Q(user__person=person)
        unread = Notice.objects.unread().filter(theirs, key__startswith=f"{PREFIX}:{promotion}:")
        unread.update(read_at=now)


def _tell_policies(now: datetime) -> int:
    rows = PolicyChange.objects.select_related("requested_by")
    Decided = PolicyChange.Status
    lately = rows.filter(
        decided_at__gte=now - LATELY, status__in=(Decided.APPROVED, Decided.REJECTED)
    )
    path = PolicyChange.get_absolute_url
    decided = outcomes(POLICY, lately, title=own_policy_title, path=path)
    waiting = rows.filter(status=Decided.PENDING)
    return tell_asked(
        POLICY, waiting, title=policy_title, path=path, people=_policy_deciders, now=now
    ) + tell_news(decided, now=now)


def _policy_deciders(row: PolicyChange) -> list[User]:
    return deciders(holders(*DECIDES_POLICIES), partial(policy.question, row))


def _tell_rollouts(now: datetime) -> int:
    rows = Rollout.objects.select_related(
        "registered_model__owner_team",
        "model_version__registered_model",
        "baseline__registered_model",
        "promotion__requested_by",
    )
    held = rows.open().filter(reason="NO_TRAFFIC", paused_at=None)
    ended = rows.filter(
        finished_at__gte=now - LATELY, status__in=(Going.LIVE, Going.FAILED, Going.ABORTED)
    )
    drifted = rows.live().filter(drifted_at__isnull=False)
    stopped = rows.open().filter(reason__in=[*HoldCode], paused_at=None)
    news = [
        *_ended(ended),
        *_returning(rows.open().exclude(return_reason="")),
        *_stopped(stopped),
        *_drifted(drifted),
    ]
    return tell_waiting(HELD, _held(held), now=now) + tell_news(news, now=now)


def _held(rows: Iterable[Rollout]) -> Iterator[News]:
    for row in rows:
        yield News(
            key=f"{HELD}:{row.pk}:{row.attempt}:{row.weight}",
            kind=Kind.ROLLOUT,
            title=held_title(row),
            path=path_of_rollout(row),
            people=partial(_stewards, row),
        )


def _stewards(row: Rollout) -> list[User]:
    """Return those who may let a rollout go on."""
    return [one for one in holders(*OWNS_MODELS, *STEERS_ROLLOUTS) if steering.may_go_on(row, one)]


def _ended(rows: Iterable[Rollout]) -> Iterator[News]:
    """Yield rollouts that are live, failed or were aborted: failures for those who mend, the rest
    for owners and whoever proposed it.
    """
    for row in rows:
        has_failed = row.status == Going.FAILED
        yield News(
            key=f"rollout:{row.pk}:{row.attempt}:{row.status}",
            kind=Kind.ROLLOUT,
            title=_ended_title(row),
            path=path_of_rollout(row),
            people=partial(menders_of, row.registered_model)
            if has_failed
            else partial(_concerned, row),
            urgent=has_failed,
        )


def _ended_title(row: Rollout) -> str:
    name = row.model_version.name
    if row.status == Going.FAILED:
        return failed_title(row)
    if row.status == Going.ABORTED:
        return f"Rollout of {name} was aborted"
    if row.rolls_back_id and row.baseline:
        return f"{row.baseline.name} was rolled back to {name}"
    return f"{name} is live"


def _concerned(row: Rollout) -> list[User]:
    return [*owners_of(row.registered_model), row.promotion.requested_by]


def _returning(rows: Iterable[Rollout]) -> Iterator[News]:
    """Yield rollouts whose callers are being given back to the baseline."""
    for row in rows:
        yield News(
            key=f"rollout:{row.pk}:{row.attempt}:RETURN",
            kind=Kind.ROLLOUT,
            title=f"Rollout of {row.model_version.name} goes back to what served before",
            path=path_of_rollout(row),
            people=partial(menders_of, row.registered_model),
            urgent=True,
        )


def _stopped(rows: Iterable[Rollout]) -> Iterator[News]:
    """Yield rollouts that go no further, for those who mend: ServiceNow's change, or the review of
    an emergency, does not let them.
    """
    for row in rows:
        yield News(
            key=f"rollout:{row.pk}:{row.attempt}:{row.reason}:{row.weight}",
            kind=Kind.ROLLOUT,
            title=f"Rollout of {row.model_version.name} is held at {row.weight} %",
            path=path_of_rollout(row),
            people=partial(menders_of, row.registered_model),
            urgent=True,
        )


def _drifted(rows: Iterable[Rollout]) -> Iterator[News]:
    """Yield what serves and is not what was approved, once for each time that it began."""
    for row in rows:
        yield News(
            key=f"drift:{row.pk}:{row.drifted_at:%Y%m%dT%H%M%S}",
            kind=Kind.INCIDENT,
            title=f"What serves as {row.model_version.name} is not what was approved",
            path=path_of_rollout(row),
            people=partial(_told_of_drift, row),
            urgent=True,
        )


def _told_of_drift(row: Rollout) -> list[User]:
    """Return who mends the model, and who steers rollouts."""
    return [*menders_of(row.registered_model), *holders(*STEERS_ROLLOUTS)]
