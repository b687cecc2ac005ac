"""Several approvals: each by another person whom the policy lets, bound to that policy."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.urls import reverse

from apps.accounts.models import Role, User
from apps.audit.models import Action
from apps.common.decisions import AlreadyDecided
from apps.common.errors import DomainError, NotPermitted
from apps.promotions import actions, begin
from apps.promotions.models import Approval, Promotion, Rollout
from apps.promotions.policy import reviewers
from apps.promotions.stages import badge_of
from apps.promotions.standing import standing
from tests.database import as_owner, owner_runs
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories
from tests.promotions.policies import put_in_force
from tests.promotions.seeing import seen
from tests.promotions.test_actions import approve, propose
from tests.trail import trail

REVIEWERS = ("REVIEWER",)
BOTH = ("REVIEWER", "PLATFORM_ENGINEER")


def candidate(model, number, **facts):
    made = factories.version(model, number, **facts)
    factories.run(made)
    return made


@pytest.fixture
def two():
    """The policy of member data asks for two approvals."""
    return put_in_force("PHI", approvals=2)


@pytest.fixture
def ravi(db):
    return UserFactory(username="ravi", with_roles=[Role.REVIEWER])


@pytest.mark.django_db
class TestApprovePromotion:
    def test_waits_for_as_many_persons_as_its_own_data_class_asks_for(
        self, two, registered_model, alice, carol, ravi, enqueued
    ):
        public = RegisteredModelFactory(
            name="public", data_class="PUBLIC", owner_team=alice.team, created_by=alice
        )
        promotion = propose(candidate(registered_model, 7), alice)
        other = propose(candidate(public, 1), alice)
        with enqueued() as asked:
            assert approve(promotion, carol) is None
        assert asked == []
        promotion.refresh_from_db()
        assert (promotion.status, promotion.decided_at) == ("PENDING", None)
        assert badge_of(promotion).words == "In review, 1 of 2 approvals"
        assert approve(other, carol).promotion == other  # one is enough for public data
        rollout = approve(promotion, ravi)
        assert rollout.promotion == promotion
        told = [(action, actor, data.get("approvals")) for action, actor, data in trail(promotion)]
        assert told == [
            (Action.PROMOTION_REQUESTED, "alice", None),
            (Action.PROMOTION_ENDORSED, "carol", 1),
            (Action.PROMOTION_APPROVED, "ravi", 2),
        ]

    def test_counts_persons_and_not_accounts(self, two, registered_model, alice, carol, ravi):
        promotion = propose(candidate(registered_model, 7), alice)
        approve(promotion, carol)
        twin = UserFactory(username="carol2", person=carol.person, with_roles=[Role.REVIEWER])
        for account in (carol, twin):
            with pytest.raises(AlreadyDecided, match="another reviewer"):
                approve(promotion, account)
        assert Approval.objects.count() == 1
        assert promotion not in Promotion.objects.to_decide(carol)
        assert promotion not in Promotion.objects.to_decide(twin)
        assert promotion in Promotion.objects.to_decide(ravi)

    def test_counts_one_person_once_whose_accounts_were_linked_later(
        self, registered_model, alice, carol, ravi, monkeypatch
    ):
        put_in_force("PHI", approvals=3)
        promotion = propose(candidate(registered_model, 7), alice)
        twin, nina = (UserFactory(with_roles=[Role.REVIEWER]) for _ in range(2))
        approve(promotion, carol)
        approve(promotion, twin)
        User.objects.filter(pk=twin.pk).update(person=carol.person)
        assert approve(promotion, ravi) is None
        promotion.refresh_from_db()
        assert promotion.status == "PENDING"
        assert isinstance(approve(promotion, nina), Rollout)

    def test_starts_nothing_where_two_that_approved_turn_out_to_be_one(
        self, two, registered_model, alice, carol, ravi, monkeypatch
    ):
        promotion = propose(candidate(registered_model, 7), alice)
        with monkeypatch.context() as held:
            held.setattr(begin, "waits_for", lambda *_: [begin.Wait("FROZEN", "A window.")])
            approve(promotion, carol)
            approve(promotion, ravi)
        User.objects.filter(pk=ravi.pk).update(person=carol.person)
        promotion.refresh_from_db()
        assert promotion.status == "APPROVED"
        assert begin.start_if_free(promotion=promotion, actor=begin.WORKER, now=NOW) is None
        (wait,) = standing(promotion, NOW).waits
        assert "belong to one person" in wait.words
        assert not Rollout.objects.exists()

    def test_starts_nothing_where_whoever_proposed_it_turns_out_to_have_approved_it(
        self, registered_model, alice, carol, monkeypatch
    ):
        promotion = propose(candidate(registered_model, 7), alice)
        with monkeypatch.context() as held:
            held.setattr(begin, "waits_for", lambda *_: [begin.Wait("FROZEN", "A window.")])
            approve(promotion, carol)
        User.objects.filter(pk=carol.pk).update(person=alice.person)
        promotion.refresh_from_db()
        assert begin.start_if_free(promotion=promotion, actor=begin.WORKER, now=NOW) is None
        (wait,) = standing(promotion, NOW).waits
        assert "Fewer people approved it" in wait.words
        with pytest.raises(begin.WrongRolloutState, match="Fewer people approved it"):
            begin.start_rollout(promotion=promotion, actor=carol, now=NOW)

    def test_shows_no_form_to_who_approved_already(
        self, two, registered_model, alice, carol, ravi, client
    ):
        promotion = propose(candidate(registered_model, 7), alice)
        approve(promotion, carol)
        twin = UserFactory(username="carol2", person=carol.person, with_roles=[Role.REVIEWER])
        url = reverse("promotions:promotion_detail", args=[promotion.pk])
        for person, may in ((carol, False), (twin, False), (ravi, True)):
            client.force_login(person)
            found = client.get(url).context["decide"]
            assert (found.may_decide, "approved this already" in found.text) == (may, not may)

    def test_needs_no_second_to_reject(self, two, registered_model, alice, carol, ravi):
        promotion = propose(candidate(registered_model, 7), alice)
        approve(promotion, carol)
        actions.reject_promotion(
            promotion=promotion, approver=ravi, seen=seen(promotion), reason="No", now=NOW
        )
        assert promotion.status == "REJECTED"
        assert begin.start_if_free(promotion=promotion, actor=begin.WORKER, now=NOW) is None
        assert not Rollout.objects.exists()

    def test_is_stale_under_another_policy_than_it_was_proposed_under(
        self, registered_model, alice, carol
    ):
        promotion = propose(candidate(registered_model, 7), alice)
        put_in_force("INTERNAL", approvals=3)  # another class's policy is no business of it
        put_in_force("PHI", approvals=2)
        with pytest.raises(actions.NotEligible, match="under policy 1, but policy 2 is in force"):
            approve(promotion, carol)
        assert promotion.policy_revision.number == 1
        actions.withdraw_promotion(promotion=promotion, actor=alice, now=NOW)
        again = propose(promotion.model_version, alice)
        assert again.policy_revision.number == 2

    def test_goes_on_under_the_policy_that_it_was_approved_under(
        self, registered_model, alice, carol
    ):
        put_in_force("PHI", steps=(20, 100), hold_seconds=7)
        factories.live(registered_model, 6)
        rollout = approve(propose(candidate(registered_model, 7), alice), carol)
        put_in_force("PHI", steps=(1, 100), hold_seconds=9, approvals=3)
        rollout.refresh_from_db()
        rules = rollout.promotion.policy_revision.rules
        assert (rollout.steps, rules.hold_seconds, rules.approvals) == ([20, 100], 7, 1)

    def test_needs_a_real_engine_where_the_policy_asks_for_one(
        self, registered_model, alice, carol
    ):
        put_in_force("PHI", real_engine_required=True)
        stand_in = factories.version(registered_model, 7)
        factories.run(stand_in, engine="stand-in")
        with pytest.raises(actions.NotEligible, match="loads no model"):
            propose(stand_in, alice)
        unknown = candidate(registered_model, 8)
        with pytest.raises(actions.NotEligible, match="not recorded"):
            propose(unknown, alice)
        real = factories.version(registered_model, 9)
        factories.run(real, engine="vllm 0.11.0")
        assert approve(propose(real, alice), carol).model_version == real


@pytest.mark.django_db
class TestStanding:
    def test_says_how_many_and_who_gives_the_next(self, two, registered_model, alice, carol, ravi):
        promotion = propose(candidate(registered_model, 7), alice)
        found = standing(promotion, NOW)
        never = "whoever proposed it, whoever published the version, owners of the model"
        assert (found.given, found.needed, found.words) == (0, 2, "needs 2 approvals")
        assert found.next == f"A reviewer gives the next. Never: {never}."
        assert (found.expires_at, found.waits) == (None, [])
        approve(promotion, carol)
        found = standing(promotion, NOW)
        assert (found.given, found.words) == (1, "1 of 2 approvals")
        assert found.next.startswith("Another reviewer gives the next.")
        assert found.expires_at == NOW + timedelta(days=14)
        approve(promotion, ravi)
        promotion.refresh_from_db()
        found = standing(promotion, NOW)
        assert (found.given, found.next, found.expires_at) == (2, "", None)


@pytest.mark.django_db
class TestReviewers:
    def people(self, model, version, requester):
        """Return persons around a promotion, each by what binds them to it."""
        publisher = version.created_by
        owner = UserFactory(team=model.owner_team, with_roles=[Role.MODEL_OWNER, Role.REVIEWER])
        return {
            "reviewer": UserFactory(with_roles=[Role.REVIEWER]),
            "engineer": UserFactory(with_roles=[Role.PLATFORM_ENGINEER]),
            "auditor": UserFactory(with_roles=[Role.AUDITOR]),
            "nobody": UserFactory(),
            "publisher": self.twin(publisher),
            "owner": owner,
            "owner's other account": self.twin(owner),
            "other owner": UserFactory(with_roles=[Role.MODEL_OWNER, Role.REVIEWER]),
            "requester": self.twin(requester),
        }

    def twin(self, person):
        return UserFactory(person=person.person, with_roles=[Role.REVIEWER])

    @pytest.mark.parametrize(
        ("roles", "excluded", "who"),
        [
            (REVIEWERS, ("requester", "publisher", "model owners"), "reviewer, other owner"),
            (BOTH, ("requester", "publisher", "model owners"), "reviewer, engineer, other owner"),
            (REVIEWERS, ("requester", "model owners"), "reviewer, publisher, other owner"),
            (
                REVIEWERS, ("requester", "publisher"),
                "reviewer, owner, owner's other account, other owner",
            ),
            (("PLATFORM_ENGINEER",), ("requester",), "engineer"),
        ],
    )  # fmt: skip
    def test_are_whom_the_policy_names_in_words_as_in_lists(
        self, registered_model, bob, roles, excluded, who
    ):
        put_in_force("PHI", approver_roles=roles, excluded=excluded, hold_seconds=11)
        version = candidate(registered_model, 7)
        promotion = propose(version, bob)
        people = self.people(registered_model, version, bob)
        may, listed = set(), set()
        for name, person in people.items():
            question = actions.question(promotion, person)
            if question.may_decide:
                may.add(name)
            if promotion in Promotion.objects.to_decide(person):
                listed.add(name)
        assert may == listed == set(who.split(", "))

    def test_are_told_why_not(self, registered_model, bob):
        version = candidate(registered_model, 7)
        promotion = propose(version, bob)
        people = self.people(registered_model, version, bob)
        assert "published prior-auth-extract-v7" in reviewers.exclusion(
            promotion, people["publisher"]
        )
        with pytest.raises(NotPermitted, match="You own prior-auth-extract"):
            approve(promotion, people["owner's other account"])
        assert reviewers.exclusion(promotion, people["reviewer"]) == ""


@pytest.mark.django_db
class TestGuards:
    def test_no_rollout_begins_with_too_few_approvals(self, two, registered_model, alice, carol):
        promotion = propose(candidate(registered_model, 7), alice)
        approve(promotion, carol)
        with as_owner():
            Promotion.objects.update(status="APPROVED", decided_at=NOW)
        promotion.refresh_from_db()
        began = {
            "promotion": promotion, "registered_model": registered_model, "started_at": NOW,
            "model_version": promotion.model_version, "moved_at": NOW,
        }  # fmt: skip
        refused = pytest.raises(IntegrityError, match="approval of its promotion")
        with refused, transaction.atomic():
            Rollout.objects.create(**began)
        twin = UserFactory(person=carol.person)
        promotion.approvals.create(
            approver=twin, requested_by=alice, decision="APPROVE", reason="x", decided_at=NOW,
            manifest_digest=promotion.manifest_digest, eval_run=promotion.eval_run,
            binding_digest=promotion.binding_digest,
        )  # fmt: skip
        # two accounts of one person are one approval
        with refused, transaction.atomic():
            Rollout.objects.create(**began)

    @pytest.mark.parametrize("status", ["PENDING", "WITHDRAWN", "EXPIRED", "SUPERSEDED"])
    def test_what_began_is_never_ended_again(self, registered_model, status):
        live = factories.live(registered_model, 6)
        with pytest.raises(IntegrityError, match="rollout began"), transaction.atomic():
            decided = ", decided_at = NULL" if status == "PENDING" else ""
            owner_runs(
                f"UPDATE promotions_promotion SET status = '{status}'{decided} "  # noqa: S608
                f"WHERE id = '{live.promotion_id}'"
            )

    def test_no_promotion_leaves_its_policy(self, two, registered_model, alice):
        promotion = propose(candidate(registered_model, 7), alice)
        newer = put_in_force("PHI", approvals=1)
        with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
            owner_runs(
                f"UPDATE promotions_promotion SET policy_revision_id = {newer.pk} "  # noqa: S608
                f"WHERE id = '{promotion.pk}'"
            )


class TestTwoReviewersAtOnce:
    @pytest.mark.usefixtures("committed")
    def test_are_two_approvals_of_two_and_one_start(self, registered_model, alice, carol):
        put_in_force("PHI", approvals=2)
        ravi = UserFactory(username="ravi", with_roles=[Role.REVIEWER])
        nina = UserFactory(username="nina", with_roles=[Role.REVIEWER])
        promotion = propose(candidate(registered_model, 7), alice)
        results, start = [], threading.Barrier(3)

        def decide(person):
            start.wait()
            try:
                results.append(approve(Promotion.objects.get(pk=promotion.pk), person))
            except DomainError as error:
                results.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=decide, args=(who,)) for who in (carol, ravi, nina)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        names = sorted(type(result).__name__ for result in results)
        assert names == ["AlreadyDecided", "NoneType", "Rollout"]
        assert Approval.objects.count() == 2
        assert Rollout.objects.count() == 1
