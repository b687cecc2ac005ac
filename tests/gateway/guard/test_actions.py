"""Guard rules: two people change them, one change at a time, for ever kept; and judging hits."""

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.audit.models import Action
from apps.common.canonical import digest_of
from apps.common.decisions import AlreadyDecided
from apps.common.errors import NotPermitted
from apps.gateway.guard import actions, queries, telling
from apps.gateway.guard.models import GuardHit, GuardrailChange, GuardrailRevision
from apps.gateway.guard.shipped import SHIPPED
from apps.notices.models import Notice
from portal.needs.queries import needs_of, waits_of
from tests.database import owner_runs
from tests.factories import NOW, TeamFactory, UserFactory
from tests.gateway.guard.guardrails import REGEX, a_hit, propose, put_in_force, with_rule
from tests.trail import AuditAway, trail

pytestmark = pytest.mark.django_db
Status = GuardrailChange.Status


@pytest.fixture
def engineer(db):
    return UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])


class TestInForce:
    def test_is_what_ships_until_something_rests_on_it(self):
        found = queries.in_force(NOW)
        assert (found.rules, found.number, found.revision) == (SHIPPED, 1, None)
        first = actions.revision_for(NOW)
        assert queries.in_force(NOW).revision == actions.revision_for(NOW) == first
        assert first.digest == found.digest == digest_of(SHIPPED.as_json())

    def test_is_that_of_one_environment(self, settings):
        put_in_force()
        assert queries.in_force(NOW).number == 2
        settings.ENVIRONMENT_NAME = "staging"
        assert queries.in_force(NOW).rules == SHIPPED


class TestProposeGuardrails:
    def test_changes_nothing_by_itself(self, engineer):
        change = propose(requester=engineer)
        assert queries.in_force(NOW).rules == SHIPPED
        added = with_rule().rules[-1].as_json()
        assert trail(change) == [
            (Action.GUARDRAILS_PROPOSED, "pete", {
                "environment": "local", "before": {}, "after": {"orchid": added},
                "justification": "As the board for model risk decided.",
            }),
        ]  # fmt: skip

    def test_is_a_platform_engineers(self, carol, alice):
        for person in (carol, alice, UserFactory(with_roles=[Role.AUDITOR])):
            with pytest.raises(NotPermitted, match="Only a platform engineer"):
                propose(requester=person)
        assert not GuardrailChange.objects.exists()

    def test_waits_one_at_a_time_and_not_for_nothing(self, settings):
        with pytest.raises(actions.BadGuardrails, match="say this already"):
            propose(SHIPPED)
        propose()
        with pytest.raises(actions.BadGuardrails, match="One at a time"):
            propose(with_rule(threshold=0.7))
        settings.ENVIRONMENT_NAME = "staging"
        assert propose().environment == "staging"


class TestApproveGuardrails:
    def test_puts_the_rules_in_force_and_keeps_those_before(self, engineer, carol):
        change = propose(requester=engineer)
        revision = actions.approve_guardrails(change=change, approver=carol, reason="Yes", now=NOW)
        assert (revision.number, revision.active_from, revision.change) == (2, NOW, change)
        assert queries.in_force(NOW).rules.rules[-1].name == "orchid"
        assert [row.number for row in queries.revisions()] == [2, 1]
        (action, actor, data) = trail(change)[-1]
        assert (action, actor) == (Action.GUARDRAILS_APPROVED, "carol")
        assert data["digest"] == revision.digest == digest_of(revision.body)
        assert (data["revision"], data["proposed_by"], list(data["after"])) == (
            2,
            "pete",
            ["orchid"],
        )

    def test_says_on_record_that_only_the_order_changes(self, carol):
        turned = type(SHIPPED)(SHIPPED.rules[::-1])
        data = trail(propose(turned))[0][2]
        names = [rule.name for rule in SHIPPED.rules]
        assert (data["order_before"], data["order_after"]) == (names, names[::-1])

    def test_takes_a_reviewer_who_is_not_the_person_who_proposed_it(self, engineer):
        change = propose(requester=engineer)
        twin = UserFactory(person=engineer.person, with_roles=[Role.REVIEWER])
        for person in (engineer, twin, UserFactory(with_roles=[Role.PLATFORM_ENGINEER])):
            with pytest.raises(NotPermitted):
                actions.approve_guardrails(change=change, approver=person, reason="x", now=NOW)
        assert queries.in_force(NOW).number == 1

    def test_happens_once_and_not_without_its_record(self, carol, audit_away):
        change = propose()
        with audit_away(), pytest.raises(AuditAway):
            actions.approve_guardrails(change=change, approver=carol, reason="Yes", now=NOW)
        change.refresh_from_db()
        assert (change.status, queries.in_force(NOW).number) == (Status.PENDING, 1)
        actions.approve_guardrails(change=change, approver=carol, reason="Yes", now=NOW)
        with pytest.raises(AlreadyDecided):
            actions.approve_guardrails(change=change, approver=carol, reason="Yes", now=NOW)


class TestRejectAndWithdraw:
    def test_leave_the_rules_as_they_are(self, engineer, carol):
        rejected = propose(requester=engineer)
        actions.reject_guardrails(change=rejected, approver=carol, reason="No", now=NOW)
        withdrawn = propose(requester=engineer)
        with pytest.raises(NotPermitted):
            actions.withdraw_guardrails(change=withdrawn, actor=carol, now=NOW)
        actions.withdraw_guardrails(change=withdrawn, actor=engineer, now=NOW)
        assert queries.in_force(NOW).rules == SHIPPED
        assert [trail(one)[-1][0] for one in (rejected, withdrawn)] == [
            Action.GUARDRAILS_REJECTED, Action.GUARDRAILS_WITHDRAWN,
        ]  # fmt: skip


FORGED = {
    "a revision without a change": (
        "INSERT INTO gateway_guardrailrevision (environment, number, body, digest, active_from)"
        " SELECT environment, 3, body, digest, now() FROM gateway_guardrailrevision"
        " WHERE number = 2",
        "of_a_change_but_the_first|needs? an approved change",
    ),
    "a revision that changes": (
        "UPDATE gateway_guardrailrevision SET body = '{}'", "never changes",
    ),
    "a revision that goes": (
        "DELETE FROM gateway_guardrailrevision WHERE number = 2", "never changes",
    ),
    "a decided change that says something else": (
        "UPDATE gateway_guardrailchange SET body = '{}' WHERE status = 'APPROVED'", "never changes",
    ),
    "a change that goes": ("DELETE FROM gateway_guardrailchange", "stays"),
    "a hit that says something else": ("UPDATE gateway_guardhit SET rule = 'x'", "never changes"),
    "a hit that goes": ("DELETE FROM gateway_guardhit", "stays"),
    "a hit that nobody judged true": ("UPDATE gateway_guardhit SET mark = 'TRUE'", "marked_by"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_the_database_refuses(what):
    put_in_force()
    a_hit()
    statement, why = FORGED[what]
    with pytest.raises(IntegrityError, match=why), transaction.atomic():
        owner_runs(statement)


def test_the_database_takes_no_revision_that_nobody_approved():
    revision = put_in_force()
    change = propose(with_rule(name="other"))
    row = {"environment": "local", "number": 3, "digest": "x", "active_from": NOW}
    for body in (change.body, revision.body):
        with pytest.raises(IntegrityError, match="approved change"), transaction.atomic():
            GuardrailRevision.objects.create(**row, body=body, change=change)


class TestMarkHit:
    def test_is_kept_with_who_and_counts_for_the_rule(self, carol):
        hits = [a_hit(), a_hit(), a_hit(), a_hit(rule="other", detector="INJECTION_REVEAL")]
        for hit, mark in zip(hits, ("TRUE", "TRUE", "FALSE", "FALSE"), strict=True):
            actions.mark_hit(hit=hit, mark=mark, actor=carol, now=NOW)
        first, second = queries.tallies(GuardHit.objects.all(), ["injected-instructions", "new"])[
            :2
        ]
        assert (first.rule, first.calls, first.blocked, first.true, first.false) == (
            "injected-instructions", 3, 3, 2, 1,
        )  # fmt: skip
        assert first.precision == pytest.approx(2 / 3)
        assert (second.rule, second.precision) == ("other", 0)
        assert trail(hits[2])[0][:2] == (Action.GUARD_HIT_MARKED, "carol")
        assert trail(hits[2])[0][2]["after"] == "FALSE"

    def test_can_be_said_again_and_all_is_on_record(self, carol):
        hit = a_hit()
        for mark in ("TRUE", "FALSE", "FALSE"):
            actions.mark_hit(hit=hit, mark=mark, actor=carol, now=NOW)
        hit.refresh_from_db()
        assert (hit.mark, hit.marked_by, hit.marked_at) == ("FALSE", carol, NOW)
        assert [(event[2]["before"], event[2]["after"]) for event in trail(hit)] == [
            ("", "TRUE"), ("TRUE", "FALSE"),
        ]  # fmt: skip

    def test_is_not_for_the_team_that_called_nor_for_everybody(self, alice):
        team = TeamFactory(slug="claims-review")
        own = UserFactory(team=team, with_roles=[Role.REVIEWER])
        for person in (own, alice, UserFactory(team=team, with_roles=[Role.TEAM_LEAD])):
            with pytest.raises(NotPermitted):
                actions.mark_hit(hit=a_hit(), mark="TRUE", actor=person, now=NOW)

    def test_is_not_for_what_was_not_looked_at(self, carol):
        with pytest.raises(actions.CannotMark):
            actions.mark_hit(hit=a_hit(detector="NOT_INSPECTED"), mark="TRUE", actor=carol, now=NOW)


class TestKeepHits:
    def test_keeps_each_once(self):
        hit = a_hit()
        again, other = (
            GuardHit(
                call=call, at=NOW, phase="request", rule=hit.rule, provider=hit.provider,
                detector=hit.detector, does="block", where="", team="t", model="m", rules="x",
            )
            for call in (hit.call, "00000000-0000-4000-8000-000000000001")
        )  # fmt: skip
        actions.keep_hits([again, other])
        assert GuardHit.objects.count() == 2
        hit.refresh_from_db()
        assert hit.where == "messages[1].content"


class TestTallies:
    def test_keep_what_was_not_looked_at_apart(self):
        a_hit(count=3)
        a_hit(detector="NOT_INSPECTED", does="monitor")
        (tally,) = queries.tallies(GuardHit.objects.all())
        assert (tally.calls, tally.finds, tally.unseen, tally.precision) == (1, 3, 1, None)

    def test_name_rules_without_hits(self):
        (tally,) = queries.tallies(GuardHit.objects.all(), ["quiet"])
        assert (tally.rule, tally.calls, tally.last_at) == ("quiet", 0, None)


class TestTelling:
    def test_leads_reviewers_to_it_and_tells_whoever_proposed_it(self, engineer, carol):
        change = propose(requester=engineer)
        assert [need.title for need in waits_of(engineer)] == ["Your guard rules for local"]
        assert [need.title for need in needs_of(carol, NOW)] == [
            "Decide on the guard rules of local"
        ]
        assert needs_of(engineer, NOW) == []
        telling.tell(now=NOW)
        assert list(Notice.objects.of(carol).values_list("title", "path")) == [
            ("Decide on the guard rules of local", change.get_absolute_url())
        ]
        actions.approve_guardrails(change=change, approver=carol, reason="Yes", now=NOW)
        telling.tell(now=NOW)
        assert telling.tell(now=NOW) == 0
        assert "Your guard rules for local" in Notice.objects.of(engineer).get().title
        assert not Notice.objects.of(carol).unread().exists()


def test_a_patterns_text_is_on_record_as_proposed():
    data = trail(propose())[0][2]
    assert data["after"]["orchid"]["provider"] == REGEX["provider"]
