"""Letting a pipeline in takes two people, shutting it out takes one."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.pipelines import actions
from apps.accounts.pipelines.models import PipelineChange, PipelineRule
from apps.audit.models import Action
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import NotPermitted
from apps.common.sign_ins import JUST_NOW, FreshSignInNeeded
from tests.accounts.pipelines import samples
from tests.database import as_owner
from tests.factories import NOW, TeamFactory, UserFactory
from tests.trail import trail

pytestmark = pytest.mark.django_db
WHY = {"reason": "Compared with GitHub.", "now": NOW}


@pytest.fixture
def change(alice, pushes):
    """A rule that alice proposed; and another pipeline's, which must stay as it is."""
    samples.propose("other", requester=alice, team=alice.team, pushers=[pushes])
    return samples.propose("extract-release", requester=alice, team=alice.team, pushers=[pushes])


class TestProposeRule:
    def test_keeps_it_and_says_so_in_the_record(self, alice, change):
        assert (change.name, change.team, change.before) == ("extract-release", alice.team, None)
        ((action, actor, data),) = trail(change)
        assert (action, actor) == (Action.PIPELINE_PROPOSED, "alice")
        assert data["after"]["repository"] == "meridian/extract-models"
        assert data["before"]["repository"] is None
        assert not PipelineRule.objects.exists()

    def test_is_for_owners_and_platform_engineers(self, charlie, carol, alice, pushes):
        for person in (charlie, carol):
            with pytest.raises(NotPermitted, match="A model owner or a platform engineer"):
                samples.propose("x", requester=person, team=alice.team, pushers=[pushes])

    def test_is_for_models_of_the_owners_own_team(self, alice, engineer, pushes):
        with pytest.raises(NotPermitted, match="Only model owners of"):
            samples.propose("x", requester=alice, team=TeamFactory(), pushers=[pushes])
        assert samples.propose("x", requester=engineer, team=alice.team, pushers=[pushes])

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"subjects": []}, "Without a condition on the subject"),
            ({"subjects": ["repo:meridian/*"]}, "wildcard"),
            ({"pushers": [samples.Pusher("octo", "9", "nobody")]}, "Nobody called nobody"),
        ],
    )
    def test_refuses_what_could_not_be_in_force(self, alice, pushes, changes, words):
        asked = {"requester": alice, "team": alice.team, "pushers": [pushes]} | changes
        with pytest.raises(actions.BadRule, match=words):
            samples.propose("x", **asked)
        assert not PipelineChange.objects.exists()

    def test_leaves_the_portals_own_pages_their_addresses(self, alice, pushes):
        with pytest.raises(actions.BadRule, match="has a page of its own at new"):
            samples.propose("new", requester=alice, team=alice.team, pushers=[pushes])

    def test_takes_one_account_of_github_for_one_person(self, alice, carol, pipeline, pushes):
        asked = {"requester": alice, "team": alice.team}
        other = samples.Pusher(pushes.login, pushes.github_id, carol.username)
        with pytest.raises(actions.BadRule, match="is bob by the rule of extract-release"):
            samples.propose("other", **asked, pushers=[other])
        assert samples.propose("other", **asked, pushers=[pushes])
        assert samples.propose(pipeline.name, **asked, pushers=[other])

    def test_takes_two_accounts_of_one_person_for_one(self, alice, bob, pipeline, pushes):
        second = UserFactory(person=bob.person)
        same = samples.Pusher(pushes.login, pushes.github_id, second.username)
        assert samples.propose("other", requester=alice, team=alice.team, pushers=[same])

    def test_refuses_another_portals_tokens(self, alice, pushes, settings):
        rule = samples.rule(pushers=[pushes], audience="https://other")
        with pytest.raises(actions.BadRule, match="This portal takes tokens of"):
            actions.propose_rule(
                name="x", team=alice.team, rule=rule, justification="", requester=alice, now=NOW
            )

    def test_waits_for_one_decision_at_a_time(self, alice, change, pushes):
        with pytest.raises(actions.BadRule, match="One at a time"):
            samples.propose("extract-release", requester=alice, team=alice.team, pushers=[pushes])

    def test_refuses_what_changes_nothing_or_is_anothers(self, alice, engineer, pipeline, pushes):
        asked = {"pushers": [pushes], "models": ["extract", "summary"]}
        with pytest.raises(actions.BadRule, match="Nothing changes"):
            samples.propose(pipeline.name, requester=alice, team=alice.team, **asked)
        with pytest.raises(actions.BadRule, match="Choose another name"):
            samples.propose(pipeline.name, requester=engineer, team=engineer.team, **asked)


class TestApproveRule:
    def test_lets_the_pipeline_in(self, change, engineer):
        rule = actions.approve_rule(change=change, approver=engineer, **WHY)
        assert (rule.number, rule.body, rule.active_from) == (1, change.body, NOW)
        assert change.decided_by == engineer
        action, actor, data = trail(change)[-1]
        assert (action, actor, data["number"]) == (Action.PIPELINE_APPROVED, "erin", 1)
        assert PipelineChange.objects.pending().get().name == "other"

    def test_takes_another_person(self, alice, change):
        alice.role_bindings.create(role=Role.REVIEWER)
        alice.remember_roles([Role.REVIEWER])
        alice.sign_in = JUST_NOW
        with pytest.raises(NotOnesOwn):
            actions.approve_rule(change=change, approver=alice, **WHY)

    def test_takes_nobody_who_pushes_by_it(self, bob, change):
        second = UserFactory(person=bob.person, with_roles=[Role.REVIEWER])
        second.sign_in = JUST_NOW
        with pytest.raises(NotPermitted, match="names you as one who pushes"):
            actions.approve_rule(change=change, approver=second, **WHY)
        assert not PipelineRule.objects.exists()

    def test_takes_a_fresh_sign_in_and_the_right_role(self, change, charlie, engineer):
        with pytest.raises(NotPermitted, match="Only a reviewer or platform engineer"):
            actions.approve_rule(change=change, approver=charlie, **WHY)
        engineer.sign_in = None
        with pytest.raises(FreshSignInNeeded):
            actions.approve_rule(change=change, approver=engineer, **WHY)

    def test_happens_once(self, change, engineer):
        actions.approve_rule(change=change, approver=engineer, **WHY)
        with pytest.raises(AlreadyDecided):
            actions.approve_rule(change=change, approver=engineer, **WHY)

    def test_refuses_where_a_person_was_deactivated_meanwhile(self, change, engineer, bob):
        with as_owner():
            type(bob).objects.filter(pk=bob.pk).update(is_active=False)
        with pytest.raises(actions.BadRule, match="was deactivated"), transaction.atomic():
            actions.approve_rule(change=change, approver=engineer, **WHY)
        change.refresh_from_db()
        assert change.status == "PENDING"

    def test_replaces_the_rule_before(self, alice, engineer, pipeline, pushes):
        change = samples.propose(
            pipeline.name, requester=alice, team=alice.team, pushers=[pushes], may=["publish"]
        )
        second = actions.approve_rule(change=change, approver=engineer, **WHY)
        assert (second.number, second.rule.may) == (2, ("publish",))
        assert trail(change)[-1][2]["before"]["may"] == ["publish", "evaluate", "propose"]


class TestRejectAndWithdraw:
    def test_leave_nothing_in_force(self, alice, change, engineer):
        actions.reject_rule(change=change, approver=engineer, **WHY)
        other = PipelineChange.objects.get(name="other")
        with pytest.raises(NotPermitted):
            actions.withdraw_rule(change=other, actor=engineer, now=NOW)
        actions.withdraw_rule(change=other, actor=alice, now=NOW)
        assert [trail(one)[-1][0] for one in (change, other)] == [
            Action.PIPELINE_REJECTED,
            Action.PIPELINE_WITHDRAWN,
        ]
        assert not PipelineRule.objects.exists()


class TestEndPipeline:
    def test_is_for_one_person_of_the_team(self, alice, charlie, pipeline):
        with pytest.raises(NotPermitted):
            actions.end_pipeline(rule=pipeline, actor=charlie, **WHY)
        actions.end_pipeline(rule=pipeline, actor=alice, **WHY)
        assert (pipeline.ended_at, pipeline.ended_by) == (NOW, alice)
        assert trail(pipeline)[-1][:2] == (Action.PIPELINE_ENDED, "alice")
        with pytest.raises(actions.NotInForce):
            actions.end_pipeline(rule=pipeline, actor=alice, **WHY)

    def test_lets_it_in_again_by_a_rule_that_two_people_make(
        self, alice, engineer, pipeline, pushes
    ):
        actions.end_pipeline(rule=pipeline, actor=engineer, **WHY)
        asked = {"pushers": [pushes], "models": ["extract", "summary"]}
        again = samples.let_in(
            pipeline.name, requester=alice, approver=engineer, team=alice.team, **asked
        )
        assert (again.number, again.ended_at) == (2, None)


class TestTheDatabase:
    """What holds against every door."""

    @pytest.mark.parametrize(
        ("statement", "words"),
        [
            ("UPDATE accounts_pipelinerule SET body = '{}'", "a rule of a pipeline never changes"),
            ("DELETE FROM accounts_pipelinerule", "a rule of a pipeline stays"),
            ("UPDATE accounts_pipelinechange SET body = '{}' WHERE status = 'PENDING'",
             "what was proposed never changes"),
            ("UPDATE accounts_pipelinechange SET decision_reason = 'x' WHERE status = 'APPROVED'",
             "a decided rule of a pipeline never changes"),
            ("UPDATE accounts_pipelinechange SET status = 'APPROVED', decided_at = now(), "
             "decided_by_id = requested_by_id WHERE status = 'PENDING'", "takes two|by_requester"),
            ("INSERT INTO accounts_pipelinerule (name, team_id, number, body, digest, active_from, "
             "change_id, end_reason) SELECT name, team_id, 1, body, '', now(), id, '' FROM "
             "accounts_pipelinechange WHERE status = 'PENDING'", "needs an approved rule"),
        ],
    )  # fmt: skip
    def test_refuses(self, alice, pipeline, pushes, statement, words):
        samples.propose("waits", requester=alice, team=alice.team, pushers=[pushes])
        with (
            as_owner(),
            pytest.raises(IntegrityError, match=words),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)

    def test_ends_a_rule_once(self, alice, pipeline):
        actions.end_pipeline(rule=pipeline, actor=alice, **WHY)
        rows = PipelineRule.objects.filter(pk=pipeline.pk)
        with pytest.raises(IntegrityError, match="stays so"), transaction.atomic():
            rows.update(end_reason="Another.")
        assert timezone.now() - pipeline.active_from < timedelta(minutes=5)
