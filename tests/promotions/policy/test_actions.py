"""Policies: two people change them, one data class at a time, for ever kept."""

from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.audit.models import Action
from apps.common.canonical import digest_of
from apps.common.decisions import AlreadyDecided
from apps.common.errors import NotPermitted
from apps.promotions.policy import actions, queries
from apps.promotions.policy.models import PolicyChange, PolicyRevision
from apps.promotions.policy.rules import Rules
from tests.database import owner_runs
from tests.factories import NOW, UserFactory
from tests.promotions.policies import propose, put_in_force
from tests.trail import AuditAway, trail

pytestmark = pytest.mark.django_db


@pytest.fixture
def engineer(db):
    return UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])


class TestRulesOf:
    def test_are_what_the_settings_say_until_something_rests_on_them(self, settings):
        settings.ROLLOUT_STEPS, settings.ROLLOUT_HOLD_SECONDS = (5, 100), 77
        settings.ROLLOUT_MINIMUM_CALLS = 9
        found = queries.rules_of("PHI", NOW)
        assert (found.rules.steps, found.rules.hold_seconds, found.rules.minimum_calls) == (
            (5, 100), 77, 9,
        )  # fmt: skip
        assert (found.number, found.revision) == (1, None)
        first = actions.revision_for("PHI", NOW)
        settings.ROLLOUT_HOLD_SECONDS = 88  # too late for the one, not for the others
        assert queries.rules_of("PHI", NOW).rules.hold_seconds == 77
        assert queries.rules_of("PUBLIC", NOW).rules.hold_seconds == 88
        assert actions.revision_for("PHI", NOW) == first
        assert first.digest == found.digest == digest_of(first.body)

    def test_need_a_real_engine_outside_the_local_stack(self, settings):
        assert settings.ENVIRONMENT_NAME == "local"
        assert not queries.first_rules().real_engine_required
        settings.ENVIRONMENT_NAME = "production"
        assert queries.first_rules().real_engine_required

    def test_are_those_of_one_environment_and_data_class(self, settings):
        put_in_force("PHI", approvals=2)
        found = {name: one.rules.approvals for name, one in queries.in_force(NOW).items()}
        assert found == {"PUBLIC": 1, "INTERNAL": 1, "PHI": 2}
        settings.ENVIRONMENT_NAME = "staging"
        assert {one.rules.approvals for one in queries.in_force(NOW).values()} == {1}


class TestProposePolicy:
    def test_changes_nothing_by_itself(self, engineer):
        change = propose("PHI", requester=engineer, approvals=2, hold_seconds=60)
        assert queries.rules_of("PHI", NOW).rules.approvals == 1
        differs = {
            "environment": "local", "data_class": "PHI",
            "before": {"approvals": 1, "hold_seconds": 300},
            "after": {"approvals": 2, "hold_seconds": 60},
            "justification": "As the committee decided.",
        }  # fmt: skip
        differs["before"]["hold_seconds"] = queries.first_rules().hold_seconds
        assert trail(change) == [(Action.PROMOTION_POLICY_PROPOSED, "pete", differs)]

    def test_is_a_platform_engineers(self, carol, alice):
        for person in (carol, alice, UserFactory(with_roles=[Role.AUDITOR])):
            with pytest.raises(NotPermitted, match="Only a platform engineer"):
                propose("PHI", requester=person, approvals=2)
        assert not PolicyChange.objects.exists()

    def test_waits_one_at_a_time_for_each_data_class(self):
        propose("PHI", approvals=2)
        propose("PUBLIC", approvals=2)
        with pytest.raises(actions.BadPolicy, match="One at a time"):
            propose("PHI", approvals=3)

    def test_refuses_what_changes_nothing_and_what_is_not_allowed_here(self, settings):
        with pytest.raises(actions.BadPolicy, match="says this already"):
            propose("PHI")
        settings.ENVIRONMENT_NAME = "production"
        with pytest.raises(actions.BadPolicy, match="never counts outside"):
            propose("PHI", real_engine_required=False)


class TestApprovePolicy:
    def test_puts_the_rules_in_force_and_keeps_those_before(self, engineer, carol):
        other = put_in_force("PUBLIC", approvals=3)
        change = propose("PHI", requester=engineer, approvals=2)
        revision = actions.approve_policy(change=change, approver=carol, reason="Yes", now=NOW)
        assert (revision.number, revision.active_from, revision.change) == (2, NOW, change)
        assert revision.rules == replace(change.before.rules, approvals=2)
        assert queries.rules_of("PHI", NOW).revision == revision
        assert queries.rules_of("PUBLIC", NOW).revision == other
        assert [row.number for row in queries.revisions_of("PHI")] == [2, 1]
        (action, actor, data) = trail(change)[-1]
        assert (action, actor) == (Action.PROMOTION_POLICY_APPROVED, "carol")
        assert data == {
            "environment": "local", "data_class": "PHI", "before": {"approvals": 1},
            "after": {"approvals": 2}, "reason": "Yes", "revision": 2,
            "digest": digest_of(revision.body), "proposed_by": "pete",
        }  # fmt: skip

    def test_takes_a_reviewer_who_is_not_the_person_who_proposed_it(self, engineer):
        change = propose("PHI", requester=engineer, approvals=2)
        twin = UserFactory(person=engineer.person, with_roles=[Role.REVIEWER])
        for person in (engineer, twin, UserFactory(with_roles=[Role.PLATFORM_ENGINEER])):
            with pytest.raises(NotPermitted):
                actions.approve_policy(change=change, approver=person, reason="x", now=NOW)
        assert queries.rules_of("PHI", NOW).number == 1

    def test_happens_once_and_not_without_its_record(self, carol, audit_away):
        change = propose("PHI", approvals=2)
        with audit_away(), pytest.raises(AuditAway):
            actions.approve_policy(change=change, approver=carol, reason="Yes", now=NOW)
        assert PolicyRevision.objects.filter(data_class="PHI").count() == 1
        change.refresh_from_db()
        actions.approve_policy(change=change, approver=carol, reason="Yes", now=NOW)
        for again in (actions.approve_policy, actions.reject_policy):
            with pytest.raises(AlreadyDecided):
                again(change=change, approver=carol, reason="Yes", now=NOW)
        assert PolicyRevision.objects.filter(data_class="PHI").count() == 2

    def test_is_refused_in_another_environment_than_it_was_proposed_in(self, carol, settings):
        change = propose("PHI", approvals=2)
        settings.ENVIRONMENT_NAME = "production"
        with pytest.raises(actions.BadPolicy):
            actions.approve_policy(change=change, approver=carol, reason="Yes", now=NOW)
        change.refresh_from_db()
        assert change.status == "PENDING"


class TestRejectAndWithdraw:
    def test_leave_what_is_in_force(self, engineer, carol):
        first = propose("PHI", requester=engineer, approvals=2)
        actions.reject_policy(change=first, approver=carol, reason="No", now=NOW)
        second = propose("PHI", requester=engineer, approvals=2)
        with pytest.raises(NotPermitted):
            actions.withdraw_policy(change=second, actor=carol, now=NOW)
        actions.withdraw_policy(change=second, actor=engineer, now=NOW)
        assert (first.status, second.status) == ("REJECTED", "WITHDRAWN")
        assert queries.rules_of("PHI", NOW).number == 1
        assert [event[0] for event in trail(first) + trail(second)] == [
            Action.PROMOTION_POLICY_PROPOSED, Action.PROMOTION_POLICY_REJECTED,
            Action.PROMOTION_POLICY_PROPOSED, Action.PROMOTION_POLICY_WITHDRAWN,
        ]  # fmt: skip


class TestGuards:
    INSERT = (
        "INSERT INTO promotions_policyrevision (environment, data_class, number, body, digest, "
        "active_from, change_id) SELECT environment, data_class, {number}, {body}, digest, now(), "
        "{change} FROM promotions_policyrevision WHERE data_class = 'PHI' AND number = 1"
    )
    REFUSED = {
        "other rules than they were": (
            "UPDATE promotions_policyrevision SET body = '{{}}'", "a revision of a policy never",
        ),
        "a revision taken away": (
            "DELETE FROM promotions_policyrevision", "a revision of a policy never",
        ),
        "a revision of a change that waits": (
            INSERT.replace("{number}", "2").replace("{change}", "'{waiting}'").replace(
                "{body}", "(SELECT body FROM promotions_policychange WHERE id = '{waiting}')"
            ),
            "needs an approved change",
        ),
        "a revision with other rules than were approved": (
            INSERT.replace("{number}", "3").replace("{change}", "'{approved}'").replace(
                "{body}", "body"
            ),
            "needs an approved change",
        ),
        "a revision of nothing": (
            INSERT.replace("{number}", "2").replace("{change}", "NULL").replace("{body}", "body"),
            "needs an approved change|of_a_change_but_the_first",
        ),
        "approving one's own rules": (
            "UPDATE promotions_policychange SET status = 'APPROVED', decided_at = now(), "
            "decided_by_id = requested_by_id WHERE id = '{waiting}'",
            "not_decided_by_requester",
        ),
        "approving as nobody": (
            "UPDATE promotions_policychange SET status = 'APPROVED', decided_at = now() "
            "WHERE id = '{waiting}'",
            "decided_by_somebody",
        ),
        "other rules than were proposed": (
            "UPDATE promotions_policychange SET body = '{{}}' WHERE id = '{waiting}'",
            "what was proposed never changes",
        ),
        "another reason afterwards": (
            "UPDATE promotions_policychange SET decision_reason = 'x' WHERE id = '{approved}'",
            "a decided change of a policy never changes",
        ),
        "a change taken away": (
            "DELETE FROM promotions_policychange", "a change of a policy stays",
        ),
    }  # fmt: skip

    @pytest.mark.parametrize("what", REFUSED)
    def test_the_database_refuses(self, what):
        waiting = propose("PUBLIC", approvals=2)
        approved = put_in_force("PHI", approvals=2).change
        sql, words = self.REFUSED[what]
        with pytest.raises(IntegrityError, match=words), transaction.atomic():
            statement = sql.format(waiting=waiting.pk, approved=approved.pk)
            assert owner_runs(statement), "it found no row, so it tried nothing"

    def test_a_revision_reads_as_the_rules_it_keeps(self):
        made = put_in_force("PHI", approvals=2, steps=(1, 2, 100))
        again = PolicyRevision.objects.get(pk=made.pk)
        assert again.rules == Rules.of(again.body) == made.rules
        assert again.rules.steps == (1, 2, 100)
