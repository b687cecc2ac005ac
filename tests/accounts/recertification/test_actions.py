"""Roles are looked at again: kept, or taken away for every sign-in to come."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.actions import sync_user_from_claims
from apps.accounts.claims import Identity
from apps.accounts.models import Role, RoleBinding
from apps.accounts.recertification import actions
from apps.accounts.recertification.models import AHEAD, RoleReview, withheld_from
from apps.audit.models import AuditEvent
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import NotPermitted
from tests.database import as_owner
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db
YEAR = timedelta(days=365)
LATER = NOW + YEAR


def held_since(user, at):
    with as_owner():
        RoleBinding.objects.filter(user=user).update(since=at)


@pytest.fixture
def fiona():
    """Finance, and a reviewer too."""
    user = UserFactory(username="fiona", name="Fiona", with_roles=[Role.FINANCE, Role.REVIEWER])
    held_since(user, NOW)
    return user


@pytest.fixture
def aisha():
    user = UserFactory(username="aisha", name="Aisha", with_roles=[Role.AUDITOR])
    held_since(user, NOW + 10 * YEAR)  # not due in these tests
    return user


def opened(now=LATER):
    return actions.open_reviews(period=YEAR, now=now)


def review_of(user, role=Role.FINANCE):
    return RoleReview.objects.get(requested_by=user, role=role, status="PENDING")


def kept(review, by, now=LATER):
    actions.keep_role(review=review, approver=by, reason="Still closes months.", now=now)


def taken(review, by, now=LATER):
    actions.take_role(review=review, approver=by, reason="Moved to another team.", now=now)


def signs_in(user, *roles):
    """Sign in with these groups."""
    identity = Identity(
        issuer=user.issuer, subject=user.subject, username=user.username, name=user.name,
        email=user.email, groups=(), roles=frozenset(roles),
    )  # fmt: skip
    sync_user_from_claims(identity=identity, now=LATER)
    return set(RoleBinding.objects.filter(user=user).values_list("role", flat=True))


class TestOpenReviews:
    def test_asks_for_each_role_two_weeks_before_it_is_due_and_once(self, fiona, aisha):
        assert opened(LATER - AHEAD - timedelta(seconds=1)) == 0
        assert opened(LATER - AHEAD) == 2
        assert opened(LATER) == 0
        review = review_of(fiona)
        assert (review.due_at, review.requested_at) == (LATER, LATER - AHEAD)
        assert AuditEvent.objects.filter(action="role.due").count() == 2

    def test_asks_again_a_period_after_it_was_kept(self, fiona, aisha):
        opened()
        kept(review_of(fiona), aisha)
        assert opened(LATER + YEAR - AHEAD - timedelta(days=1)) == 0
        assert opened(LATER + YEAR - AHEAD) == 1
        assert review_of(fiona).due_at == LATER + YEAR

    def test_lets_go_what_a_person_lost_and_leaves_the_rest(self, fiona, aisha):
        opened()
        RoleBinding.objects.filter(user=fiona, role=Role.REVIEWER).delete()
        opened()
        states = dict(RoleReview.objects.values_list("role", "status"))
        assert states == {Role.FINANCE: "PENDING", Role.REVIEWER: "LAPSED"}
        assert AuditEvent.objects.filter(action="role.lapsed").count() == 1

    def test_asks_nothing_about_those_who_left(self, fiona, aisha):
        with as_owner():
            type(fiona).objects.filter(pk=fiona.pk).update(is_active=False)
        assert opened() == 0


class TestLooking:
    def test_keeps_a_role_once_with_its_reason(self, fiona, aisha):
        opened()
        review = review_of(fiona)
        kept(review, aisha)
        assert (review.status, review.decided_by, review.decided_at) == ("KEPT", aisha, LATER)
        event = AuditEvent.objects.get(action="role.kept")
        assert (event.actor, event.data["reason"]) == ("aisha", "Still closes months.")
        assert event.data["role"] == Role.FINANCE and event.data["person"] == "fiona"
        with pytest.raises(AlreadyDecided):
            taken(review, aisha)
        assert fiona.role_bindings.count() == 2

    def test_takes_a_role_away_at_once_and_for_good(self, fiona, aisha):
        opened()
        taken(review_of(fiona), aisha)
        assert set(fiona.role_bindings.values_list("role", flat=True)) == {Role.REVIEWER}
        assert withheld_from(fiona) == {Role.FINANCE}
        assert signs_in(fiona, Role.FINANCE, Role.REVIEWER) == {Role.REVIEWER}
        assert withheld_from(aisha) == frozenset()
        assert AuditEvent.objects.get(action="role.taken").data["person"] == "fiona"

    def test_gives_it_back_after_another_look_that_keeps_it(self, fiona, aisha):
        opened()
        review = review_of(fiona)
        with pytest.raises(actions.NotTaken):
            actions.look_again(review=review, actor=aisha, now=LATER)
        taken(review, aisha)
        again = actions.look_again(review=review, actor=aisha, now=LATER + timedelta(days=1))
        with pytest.raises(actions.NotTaken, match="already"):
            actions.look_again(review=review, actor=aisha, now=LATER)
        opened(LATER + timedelta(days=1))
        again.refresh_from_db()
        assert again.status == "PENDING"
        kept(again, aisha, now=LATER + timedelta(days=2))
        assert signs_in(fiona, Role.FINANCE, Role.REVIEWER) == {Role.FINANCE, Role.REVIEWER}

    def test_is_not_for_oneself_nor_for_everybody(self, fiona, aisha):
        opened()
        with pytest.raises(NotPermitted, match="auditor or platform engineer"):
            kept(review_of(fiona), UserFactory(with_roles=[Role.FINANCE]))
        held_since(aisha, NOW)
        opened()
        other_account = UserFactory(person=aisha.person, with_roles=[Role.AUDITOR])
        for person in (aisha, other_account):
            with pytest.raises(NotOnesOwn):
                kept(review_of(aisha, Role.AUDITOR), person)
        assert (
            not RoleReview.objects.to_decide(aisha, is_decider=True)
            .filter(requested_by=aisha)
            .exists()
        )


class TestGuards:
    def test_a_look_is_never_changed_nor_made_by_its_own_person(self, fiona, aisha):
        opened()
        kept(review_of(fiona), aisha)
        mine = RoleReview.objects.filter(requested_by=fiona, status="KEPT")
        waits = RoleReview.objects.filter(requested_by=fiona, status="PENDING")
        other = UserFactory(person=fiona.person)
        decided = {"status": "KEPT", "decided_at": LATER}
        for change in (
            lambda: mine.update(decision_reason="Another."),
            lambda: mine.update(status="PENDING"),
            lambda: mine.delete(),
            lambda: waits.update(decided_by=fiona, **decided),
            lambda: waits.update(decided_by=other, **decided),
            lambda: waits.update(decided_by=None, **decided),
        ):
            with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
                change()
