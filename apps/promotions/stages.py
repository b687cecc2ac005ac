"""The stage of a promotion: the one word that lists, badges, filters and programs use.

Stored are only what was decided, and what its rollout does; the stage follows from them. It is told
here twice, for one promotion and for a list in the database, and a test holds the two against each
other.
"""

from django.db import models
from django.db.models import Case, Exists, OuterRef, Q, Subquery, Value, When

from apps.common.badges import Badge
from apps.common.counts import counted
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.models import Approval, Promotion, PromotionQuerySet, Rollout


class Stage(models.TextChoices):
    """From a proposal to what came of it. CHANGE_OPEN: ServiceNow has its change. IN_REVIEW: some
    approved, more are needed. APPROVED: its rollout has not started. ROLLED_BACK: a person took its
    version back, on its way or when it was live. SUPERSEDED: a newer one took its place.
    """

    PROPOSED = "PROPOSED", "Proposed"
    CHANGE_OPEN = "CHANGE_OPEN", "Change open"
    IN_REVIEW = "IN_REVIEW", "In review"
    APPROVED = "APPROVED", "Approved"
    ROLLING_OUT = "ROLLING_OUT", "Rolling out"
    LIVE = "LIVE", "Live"
    REJECTED = "REJECTED", "Rejected"
    WITHDRAWN = "WITHDRAWN", "Withdrawn"
    EXPIRED = "EXPIRED", "Expired"
    FAILED = "FAILED", "Failed"
    ROLLED_BACK = "ROLLED_BACK", "Rolled back"
    SUPERSEDED = "SUPERSEDED", "Superseded"


Status, Going = Promotion.Status, Rollout.Status
# what a stage is told from, to be prefetched
RESTS_ON = ("rollouts__rolled_back_by", "approvals", "changes")
# while these last, reviewers have not decided
UNDECIDED = (Stage.PROPOSED, Stage.CHANGE_OPEN, Stage.IN_REVIEW)
OF_ROLLOUT = {
    Going.PENDING: Stage.ROLLING_OUT,
    Going.PROGRESSING: Stage.ROLLING_OUT,
    Going.LIVE: Stage.LIVE,
    Going.FAILED: Stage.FAILED,
    Going.ABORTED: Stage.ROLLED_BACK,
    Going.SUPERSEDED: Stage.SUPERSEDED,
    Going.REPLACED: Stage.SUPERSEDED,
}
OF_STATUS = {
    Status.APPROVED: Stage.APPROVED,
    Status.REJECTED: Stage.REJECTED,
    Status.WITHDRAWN: Stage.WITHDRAWN,
    Status.EXPIRED: Stage.EXPIRED,
    Status.SUPERSEDED: Stage.SUPERSEDED,
    Status.EMERGENCY: Stage.ROLLING_OUT,  # its rollout begins with it
}
# what a badge says instead of the stage while nobody approved again
VOIDED = "Approval voided"
# a rollout that went back took over from the one that it went back from
TOOK_OVER = (Going.LIVE, Going.REPLACED)
BADGES = {
    Stage.PROPOSED: Badge("warn", "clock", "Proposed"),
    Stage.CHANGE_OPEN: Badge("warn", "clock", "Change open"),
    Stage.IN_REVIEW: Badge("warn", "clock", "In review"),
    Stage.APPROVED: Badge("busy", "circle-check", "Approved", title="Its rollout waits to start."),
    Stage.ROLLING_OUT: Badge("busy", "rocket", "Rolling out"),
    Stage.LIVE: Badge("ok", "", "Live"),
    Stage.REJECTED: Badge("bad", "circle-x", "Rejected"),
    Stage.WITHDRAWN: Badge("idle", "undo-2", "Withdrawn"),
    Stage.EXPIRED: Badge("idle", "timer", "Expired"),
    Stage.FAILED: Badge("bad", "circle-x", "Failed"),
    Stage.ROLLED_BACK: Badge("idle", "undo-2", "Rolled back"),
    Stage.SUPERSEDED: Badge("idle", "history", "Superseded"),
}


def stage_of(promotion: Promotion) -> Stage:
    """Return a promotion's stage. No query where what it RESTS_ON is prefetched."""
    rollout = promotion.newest_rollout()
    if rollout is not None:
        back = rollout.status == Going.REPLACED and _was_rolled_back(rollout)
        return Stage.ROLLED_BACK if back else OF_ROLLOUT[Going(rollout.status)]
    if promotion.status != Status.PENDING:
        return OF_STATUS[Status(promotion.status)]
    if given(promotion):
        return Stage.IN_REVIEW
    return Stage.CHANGE_OPEN if _has_change(promotion) else Stage.PROPOSED


def given(promotion: Promotion) -> list[Approval]:
    """Return the approvals that count, oldest first; no query where they are prefetched."""
    return [row for row in promotion.approvals.all() if row.counts]


def _has_change(promotion: Promotion) -> bool:
    normal = ChangeRecord.Kind.NORMAL
    return any(row.kind == normal and row.number for row in promotion.changes.all())


def _was_rolled_back(rollout: Rollout) -> bool:
    return any(row.status in TOOK_OVER for row in rollout.rolled_back_by.all())


def with_stage(rows: PromotionQuerySet) -> PromotionQuerySet:
    """Return the promotions, each with `stage`, to be filtered and sorted by."""
    newest = Rollout.objects.filter(promotion=OuterRef("pk")).order_by("-started_at")[:1]
    back = Rollout.objects.filter(rolls_back=OuterRef("newest"), status__in=TOOK_OVER)
    approved = Approval.objects.counting().filter(promotion=OuterRef("pk"))
    change = ChangeRecord.objects.filter(
        promotion=OuterRef("pk"), kind=ChangeRecord.Kind.NORMAL
    ).exclude(number="")
    going = [When(going=status, then=Value(stage)) for status, stage in OF_ROLLOUT.items()]
    decided = [When(status=status, then=Value(stage)) for status, stage in OF_STATUS.items()]
    stage = Case(
        When(Q(going=Going.REPLACED) & Exists(back), then=Value(Stage.ROLLED_BACK)),
        *going,
        *decided,
        When(Exists(approved), then=Value(Stage.IN_REVIEW)),
        When(Exists(change), then=Value(Stage.CHANGE_OPEN)),
        default=Value(Stage.PROPOSED),
        output_field=models.CharField(),
    )
    found = rows.alias(
        newest=Subquery(newest.values("pk")), going=Subquery(newest.values("status"))
    )
    return found.annotate(stage=stage)


def badge_of(promotion: Promotion) -> Badge:
    """Return a promotion's badge: its stage, and while reviewers decide how many approvals it
    needs. Queries as stage_of; the policy's revision must be loaded.
    """
    stage = stage_of(promotion)
    badge = BADGES[stage]
    if stage not in UNDECIDED:
        return badge
    words = VOIDED if promotion.voided_at and not given(promotion) else badge.words
    return Badge(
        badge.tone,
        badge.icon,
        f"{words}, {approval_words(promotion)}",
        title=promotion.void_reason,
    )


def approval_words(promotion: Promotion) -> str:
    """Return how many approvals it has and needs: "needs 2 approvals", "1 of 2 approvals"."""
    needed, have = promotion.policy_revision.rules.approvals, len(given(promotion))
    return (
        f"{have} of {counted(needed, 'approval')}"
        if have
        else f"needs {counted(needed, 'approval')}"
    )
