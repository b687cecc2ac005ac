"""Objectives as data: who may set them, what they may say, and what is kept of each change."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.audit.models import AuditEvent
from apps.common.errors import NotPermitted
from apps.slo.actions import HasEnded, NothingChanged, Terms, WrongTerms, end_objective
from apps.slo.burn import Kind
from apps.slo.models import Objective, ObjectiveRevision, Window
from tests.database import as_owner
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.slo.samples import AVAILABLE, FAST, REASON, objective

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


class TestSetObjective:
    def test_sets_one_with_its_revision_and_audit_row(self, registered_model, alice, enqueued):
        other = RegisteredModelFactory(owner_team=alice.team)
        with enqueued() as asked:
            made = objective(registered_model, alice, Kind.TTFT, terms=FAST)
        objective(other, alice)
        assert (made.target_percent, made.threshold_ms, made.window_days) == (95, 800, 28)
        assert ("slo.measure", {}) in [(name, kwargs) for name, kwargs in asked]
        revision = made.revisions.get()
        assert (revision.number, revision.reason, revision.set_by) == (1, REASON, alice)
        event = AuditEvent.objects.get(action="objective.set", target_id=str(made.pk))
        assert event.actor == alice.username
        assert event.data["reason"] == REASON
        assert event.data["threshold_ms"] == 800
        assert "before" not in event.data

    def test_changes_the_one_there_is_and_keeps_what_it_said(self, registered_model, alice):
        made = objective(registered_model, alice)
        month = objective(
            registered_model, alice, window=Window.MONTH, terms=Terms(Decimal("99.9"))
        )
        again = objective(
            registered_model, alice, terms=replace(AVAILABLE, target_percent=Decimal("99.5")),
            now=LATER,
        )  # fmt: skip
        assert again.pk == made.pk
        kept = list(made.revisions.order_by("number").values_list("number", "target_percent"))
        assert kept == [(1, 99), (2, Decimal("99.5"))]
        assert month.revisions.count() == 1
        event = AuditEvent.objects.get(action="objective.set", data__revision=2)
        assert event.data["before"]["target_percent"] == "99.000"

    def test_is_open_to_platform_engineers_and_owners_of_the_model_alone(
        self, registered_model, alice, carol, charlie
    ):
        engineer = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        other_owner = UserFactory(with_roles=[Role.MODEL_OWNER])
        for stranger in (carol, charlie, other_owner):
            with pytest.raises(NotPermitted):
                objective(registered_model, stranger)
        assert not Objective.objects.exists()
        assert objective(registered_model, engineer).revision == 1

    def test_refuses_what_it_says_already(self, registered_model, alice):
        objective(registered_model, alice)
        with pytest.raises(NothingChanged):
            objective(registered_model, alice, now=LATER)
        assert ObjectiveRevision.objects.count() == 1

    @pytest.mark.parametrize(
        ("kind", "window", "terms"),
        [
            (Kind.AVAILABILITY, Window.ROLLING, Terms(Decimal(100), window_days=28)),
            (Kind.AVAILABILITY, Window.ROLLING, Terms(Decimal(49), window_days=28)),
            (Kind.AVAILABILITY, Window.ROLLING, Terms(Decimal(99), 800, 28)),
            (Kind.TTFT, Window.ROLLING, Terms(Decimal(95), None, 28)),
            (Kind.TTFT, Window.ROLLING, Terms(Decimal(95), 801, 28)),
            (Kind.DURATION, Window.ROLLING, Terms(Decimal(95), 800, None)),
            (Kind.DURATION, Window.MONTH, Terms(Decimal(95), 800, 28)),
            (Kind.DURATION, Window.ROLLING, Terms(Decimal(95), 800, 91)),
            ("SPEED", Window.MONTH, Terms(Decimal(95))),
        ],
    )
    def test_refuses_what_no_objective_can_say(self, registered_model, alice, kind, window, terms):
        with pytest.raises(WrongTerms):
            objective(registered_model, alice, kind, window, terms)
        assert not Objective.objects.exists()


class TestEndObjective:
    def test_ends_it_with_its_reason_and_lets_another_begin(self, registered_model, alice):
        made, other = (
            objective(registered_model, alice),
            objective(registered_model, alice, Kind.TTFT, terms=FAST),
        )
        end_objective(objective=made, reason="Nobody calls it.", actor=alice, now=LATER)
        assert list(Objective.objects.active()) == [other]
        last = made.revisions.first()
        assert (last.number, last.is_end, last.reason) == (2, True, "Nobody calls it.")
        event = AuditEvent.objects.get(action="objective.ended")
        assert event.data["reason"] == "Nobody calls it."
        again = objective(registered_model, alice, now=LATER)
        assert again.pk != made.pk

    def test_refuses_strangers_and_a_second_end(self, registered_model, alice, charlie):
        made = objective(registered_model, alice)
        with pytest.raises(NotPermitted):
            end_objective(objective=made, reason="Why not.", actor=charlie, now=LATER)
        end_objective(objective=made, reason="Done.", actor=alice, now=LATER)
        with pytest.raises(HasEnded):
            end_objective(objective=made, reason="Again.", actor=alice, now=LATER)
        assert made.revisions.count() == 2


class TestDatabase:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"target_percent": 100}, "leaves_a_budget"),
            ({"threshold_ms": 800}, "has_threshold"),
            ({"window_days": None}, "rolls_over_days"),
            ({"kind": "TTFT", "threshold_ms": 800}, "never changes"),
        ],
    )
    def test_takes_no_objective_that_makes_no_sense(self, registered_model, alice, change, said):
        made = objective(registered_model, alice)
        with as_owner(), pytest.raises(IntegrityError, match=said), transaction.atomic():
            Objective.objects.filter(pk=made.pk).update(**change)

    def test_never_changes_a_revision_or_an_ended_objective(self, registered_model, alice):
        made = objective(registered_model, alice)
        end_objective(objective=made, reason="Done.", actor=alice, now=LATER)
        changes = (
            lambda: Objective.objects.filter(pk=made.pk).update(ended_at=None),
            lambda: made.revisions.update(reason="Other."),
            lambda: made.revisions.all()._raw_delete(made.revisions.all().db),
        )
        for change in changes:
            refused = pytest.raises(IntegrityError, match="never changes")
            with as_owner(), refused, transaction.atomic():
                change()
