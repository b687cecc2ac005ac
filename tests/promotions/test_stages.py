"""The stage of a promotion, for one and for a list: the same words."""

import pytest

from apps.promotions import stages
from apps.promotions.models import Promotion
from apps.promotions.stages import Stage
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories
from tests.promotions.changes.records import ready
from tests.promotions.test_queries import propose

pytestmark = pytest.mark.django_db


def proposed(status="PENDING", **more):
    decided = {} if status == "PENDING" else {"decided_at": NOW}
    model = RegisteredModelFactory()
    return propose(factories.version(model, 1), status=status, **decided, **more)


def approved_by_one(promotion):
    promotion.approvals.create(
        approver=UserFactory(), requested_by=promotion.requested_by, decision="APPROVE",
        reason="Good.", decided_at=NOW, manifest_digest=promotion.manifest_digest,
        eval_run=promotion.eval_run, binding_digest=promotion.binding_digest,
    )  # fmt: skip
    return promotion


def with_change(number, kind="NORMAL", status="OPEN"):
    made = proposed()
    ready(
        promotion=made, number=number, kind=kind, status=status,
        correlation_id=f"q:{made.pk}", sys_id=number,
    ).save()  # fmt: skip
    return made


def rolled(status, back="", of=None):
    """Return the promotion of a rollout. back: the state of one that goes back from it."""
    model = of or RegisteredModelFactory()
    rollout = factories.rolled(model, 5, status=status)
    if back:
        factories.rolled(model, 4, status=back, rolls_back=rollout)
    return rollout.promotion


MAKE = {
    "nobody looked at it": (Stage.PROPOSED, proposed),
    "its change has no number": (
        Stage.PROPOSED, lambda: with_change("", status="OPENING"),
    ),
    "its change is open": (Stage.CHANGE_OPEN, lambda: with_change("CHG1")),
    "an emergency's change": (Stage.PROPOSED, lambda: with_change("CHG2", kind="EMERGENCY")),
    "one approved": (Stage.IN_REVIEW, lambda: approved_by_one(proposed())),
    "one approved, with its change": (
        Stage.IN_REVIEW, lambda: approved_by_one(with_change("CHG3")),
    ),
    "approved": (Stage.APPROVED, lambda: approved_by_one(proposed("APPROVED"))),
    "rejected": (Stage.REJECTED, lambda: proposed("REJECTED")),
    "withdrawn after an approval": (
        Stage.WITHDRAWN, lambda: approved_by_one(proposed("WITHDRAWN")),
    ),
    "expired": (Stage.EXPIRED, lambda: approved_by_one(proposed("EXPIRED"))),
    "superseded before it began": (Stage.SUPERSEDED, lambda: proposed("SUPERSEDED")),
    "waiting": (Stage.ROLLING_OUT, lambda: rolled("PENDING")),
    "moving": (Stage.ROLLING_OUT, lambda: rolled("PROGRESSING")),
    "live": (Stage.LIVE, lambda: rolled("LIVE")),
    "failed": (Stage.FAILED, lambda: rolled("FAILED")),
    "aborted": (Stage.ROLLED_BACK, lambda: rolled("ABORTED")),
    "superseded on its way": (Stage.SUPERSEDED, lambda: rolled("SUPERSEDED")),
    "replaced by a newer one": (Stage.SUPERSEDED, lambda: rolled("REPLACED")),
    "rolled back": (Stage.ROLLED_BACK, lambda: rolled("REPLACED", "LIVE")),
    "rolled back, then replaced": (Stage.ROLLED_BACK, lambda: rolled("REPLACED", "REPLACED")),
    "a way back that never arrived": (Stage.SUPERSEDED, lambda: rolled("REPLACED", "ABORTED")),
    "a way back under way": (Stage.LIVE, lambda: rolled("LIVE", "PROGRESSING")),
}  # fmt: skip


def test_is_the_same_for_one_and_in_a_list(django_assert_num_queries):
    expected = {make().pk: stage for stage, make in MAKE.values()}
    rows = stages.with_stage(Promotion.objects.all()).prefetch_related(*stages.RESTS_ON)
    listed = {row.pk: row for row in rows}
    told = {pk: (row.stage, stages.stage_of(row)) for pk, row in listed.items() if pk in expected}
    assert told == {pk: (stage, stage) for pk, stage in expected.items()}
    assert set(Stage) == set(expected.values())
    with django_assert_num_queries(5):
        again = stages.with_stage(Promotion.objects.all()).prefetch_related(*stages.RESTS_ON)
        assert len([stages.stage_of(row) for row in again]) == len(listed)


def test_is_that_of_its_newest_rollout():
    model = RegisteredModelFactory()
    first = factories.rolled(model, 1, status="REPLACED")
    second = factories.rolled(model, 2, status="REPLACED", started_at=NOW)
    again = first.promotion.rollouts.create(
        registered_model=model, model_version=first.model_version, rolls_back=second,
        status="LIVE", started_at=NOW.replace(hour=12), moved_at=NOW, finished_at=NOW,
    )  # fmt: skip
    found = stages.with_stage(Promotion.objects.filter(registered_model=model))
    assert {row.pk: row.stage for row in found} == {
        again.promotion_id: Stage.LIVE, second.promotion_id: Stage.ROLLED_BACK,
    }  # fmt: skip
    assert {stages.stage_of(row) for row in found} == {Stage.LIVE, Stage.ROLLED_BACK}


def test_every_stage_has_its_badge():
    assert set(stages.BADGES) == set(Stage)
    assert {badge.words for badge in stages.BADGES.values()} == {str(one.label) for one in Stage}
