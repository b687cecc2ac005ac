"""What the portal keeps of a published policy, with a second model that must stay as it is."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from apps.audit.models import Action
from apps.gateway import actions
from apps.gateway.models import PolicyRevision
from tests.factories import NOW, RegisteredModelFactory
from tests.trail import AuditAway, trail

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=5)
FACTS = {"digest": f"sha256:{'a' * 64}", "commit": "c" * 40}
TROUBLE = {"status": "FAILED", "reason": "R", "message": "m", "attempts": 3}


@pytest.fixture
def revision(registered_model):
    return actions.request_publication(model=registered_model, now=NOW)


@pytest.fixture(autouse=True)
def other(revision):
    """Another model's policy: nothing here is about it."""
    row = actions.request_publication(model=RegisteredModelFactory(), now=NOW)
    PolicyRevision.objects.update(**TROUBLE)
    untouched = as_stored(row)
    yield row
    assert as_stored(row) == untouched


def as_stored(row) -> dict:
    return PolicyRevision.objects.filter(pk=row.pk).values().get()


def some(row, *names) -> dict:
    stored = as_stored(row)
    return {name: stored[name] for name in names}


class TestRequestPublication:
    def test_has_the_policy_looked_at_again(self, revision, registered_model):
        before = as_stored(revision)["generation"]
        again = actions.request_publication(model=registered_model, now=LATER)
        assert again.generation == before + 1
        assert some(revision, "status", "attempts", "next_check_at") == {
            "status": "PENDING",
            "attempts": 0,
            "next_check_at": LATER,
        }

    def test_leaves_no_policy_that_nobody_looks_at(self):
        model = RegisteredModelFactory()
        with pytest.raises(ValidationError):
            actions.request_publication(model=model, now="soon")
        assert not PolicyRevision.objects.filter(registered_model=model).exists()


class TestRecordCommit:
    def test_keeps_and_records_each_commit_once(self, revision):
        for now in (NOW, LATER):
            actions.record_commit(revision=revision, now=now, **FACTS)
        facts = FACTS | {"status": "COMMITTED", "published_at": NOW, "reason": "", "message": ""}
        assert some(revision, *facts) == facts
        assert revision.commit == FACTS["commit"]
        published = (Action.POLICY_PUBLISHED, "system:gateway.publish_policy")
        assert trail(revision) == [(*published, FACTS)]
        again = FACTS | {"commit": "d" * 40}
        actions.record_commit(revision=revision, now=LATER, **again)
        assert trail(revision)[1:] == [(*published, again)]
        changed = again | {"digest": "sha256:b"}
        actions.record_commit(revision=revision, now=LATER, **changed)
        assert trail(revision)[2:] == [(*published, changed)]

    def test_keeps_nothing_that_it_cannot_record(self, revision, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            actions.record_commit(revision=revision, now=NOW, **FACTS)
        assert as_stored(revision)["status"] == "FAILED"


class TestRecordLost:
    def test_has_it_published_again_unless_that_was_asked_for_meanwhile(self, revision):
        actions.record_commit(revision=revision, now=NOW, **FACTS)
        generation = revision.generation
        actions.record_lost(revision=revision, now=LATER)
        stored = as_stored(revision)
        assert (stored["generation"], stored["digest"], stored["status"]) == (
            generation + 1,
            "",
            "PENDING",
        )
        assert (stored["next_check_at"], stored["attempts"], stored["reason"]) == (
            LATER,
            0,
            "GIT_DIVERGED",
        )
        assert f"what commit {'c' * 8} brought" in stored["message"]
        actions.record_lost(revision=revision, now=NOW)
        assert as_stored(revision) == stored


class TestRecordActive:
    def test_leaves_nothing_to_do_unless_it_was_asked_for_again(self, revision):
        revision.refresh_from_db()
        actions.record_active(revision=revision, now=LATER)
        stored = as_stored(revision)
        assert (stored["status"], stored["observed_generation"], stored["observed_at"]) == (
            "ACTIVE",
            revision.generation,
            LATER,
        )
        assert (stored["next_check_at"], stored["attempts"]) == (None, 0)
        assert (stored["reason"], stored["message"]) == ("", "")
        PolicyRevision.objects.filter(pk=revision.pk).update(generation=9, status="PENDING")
        actions.record_active(revision=revision, now=NOW)
        assert as_stored(revision)["status"] == "PENDING"


class TestRecordProblem:
    def test_says_why_and_when_it_is_tried_again(self, revision):
        PolicyRevision.objects.filter(pk=revision.pk).update(status="COMMITTED")
        why = {"reason": "AWAY", "message": "Git is away."}
        actions.record_problem(revision=revision, now=NOW, next_check_at=LATER, **why)
        assert some(revision, "reason", "message", "observed_at", "next_check_at", "status") == {
            **why, "observed_at": NOW, "next_check_at": LATER, "status": "COMMITTED"
        }  # fmt: skip
        actions.record_problem(revision=revision, now=LATER, next_check_at=None, **why)
        assert some(revision, "observed_at", "next_check_at", "status") == {
            "observed_at": LATER,
            "next_check_at": None,
            "status": "FAILED",
        }
        PolicyRevision.objects.filter(pk=revision.pk).update(generation=9)
        other = {"reason": "X", "message": "x"}
        actions.record_problem(revision=revision, now=LATER, next_check_at=NOW, **other)
        assert some(revision, "reason", "next_check_at") == {
            "reason": "AWAY",
            "next_check_at": None,
        }
