"""Suites of teams: asked for by one person, decided by another, in force from then on."""

import json

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.audit.models import Action
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import NotPermitted
from apps.evals.models import EvalSuite, SuitePacket
from apps.evals.suites import actions, queries, shipped
from apps.evals.suites.actions import CannotTakeSuite
from apps.evals.suites.uploads import read_upload
from tests.database import owner_runs
from tests.evals.suites import samples
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.trail import trail

pytestmark = pytest.mark.django_db
WHY = "Our packets are closer to what we read."


@pytest.fixture
def model(registered_model):
    return registered_model


def ask(actor, model, *, declared=True, **changes):
    upload = read_upload(samples.document(model=model.name, **changes))
    return actions.request_suite(
        upload=upload, justification=WHY, declared=declared, actor=actor, now=NOW
    )


@pytest.fixture
def asked(alice, model):
    return ask(alice, model)


def approve(suite, reviewer, reason="They are good packets."):
    return actions.approve_suite(suite=suite, approver=reviewer, reason=reason, now=NOW)


class TestRequestSuite:
    def test_takes_none_of_a_person_without_a_team(self, model):
        nobody = UserFactory(team=None, with_roles=[Role.MODEL_OWNER])
        with pytest.raises(NotPermitted):
            ask(nobody, model)
        assert not EvalSuite.objects.exists()

    def test_waits_with_its_packets_and_judges_nothing_yet(self, asked, alice, model):
        assert (str(asked), asked.status, asked.owner_team) == (
            "claims-codes r1", "PENDING", alice.team,
        )  # fmt: skip
        assert (asked.packet_count, asked.judges) == (1, [model.name])
        assert [packet.id for packet in queries.packets_of(asked)] == ["p-1"]
        assert queries.packets_of(asked, queries.CPU) == queries.packets_of(asked)
        assert queries.suites_judging(model) == []
        ((action, who, facts),) = trail(asked)
        assert (action, who) == (Action.SUITE_REQUESTED, alice.username)
        assert facts["declared_free_of_member_data"] is True
        assert (facts["digest"], facts["justification"]) == (asked.digest, WHY)
        assert facts["thresholds"] == {"f1": {"minimum": 0.7}}

    def test_is_for_owners_of_every_model_that_it_judges(self, alice, carol, charlie, model):
        for other in (carol, charlie):
            with pytest.raises(NotPermitted):
                ask(other, model)
        theirs = RegisteredModelFactory(name="theirs")
        with pytest.raises(NotPermitted, match="another team's model"):
            ask(alice, theirs)
        with pytest.raises(CannotTakeSuite, match="a model that there is not"):
            ask(alice, model, judges=["nobodys"])
        assert not EvalSuite.objects.exists() and not SuitePacket.objects.exists()

    def test_needs_the_word_that_it_holds_no_member_data(self, alice, model):
        with pytest.raises(CannotTakeSuite, match="no packet holds data of a member"):
            ask(alice, model, declared=False)

    def test_takes_no_name_of_another_team_or_of_the_product(self, asked, carol, alice, model):
        approve(asked, carol)
        stranger = UserFactory(with_roles=[Role.MODEL_OWNER])
        own = RegisteredModelFactory(name="own", owner_team=stranger.team)
        with pytest.raises(NotPermitted, match="another team's suite"):
            ask(stranger, own)
        actions.ensure_suite(suite=shipped.load(), now=NOW)
        with pytest.raises(CannotTakeSuite, match="ships with the product"):
            ask(alice, model, slug="prior-auth-small")

    def test_is_one_at_a_time_and_a_change(self, asked, alice, carol, model):
        with pytest.raises(CannotTakeSuite, match="waits for a decision"):
            ask(alice, model, title="Another title")
        approve(asked, carol)
        with pytest.raises(CannotTakeSuite, match="Nothing changes"):
            ask(alice, model)
        second = ask(alice, model, thresholds={"f1": {"minimum": 0.9}})
        assert (second.revision, second.packets_digest) == (2, asked.packets_digest)
        assert second.digest != asked.digest
        assert SuitePacket.objects.count() == 1

    def test_takes_packets_question_and_rule_of_another_suite(self, alice, model):
        small = actions.ensure_suite(suite=shipped.load(), now=NOW)
        found = samples.suite(model=model.name, packets_of=small.slug)
        del found["packets"], found["question"]
        upload = read_upload(json.dumps(found).encode())
        made = actions.request_suite(
            upload=upload, justification=WHY, declared=True, actor=alice, now=NOW
        )
        assert (made.packets_digest, made.packet_count) == (small.packets_digest, 24)
        assert (made.question, made.rule) == (small.question, small.rule)
        assert made.thresholds == {"f1": {"minimum": 0.7}}


class TestDecide:
    def test_puts_a_revision_in_force(self, asked, carol, model, enqueued):
        with enqueued() as sent:
            approve(asked, carol)
        assert (asked.status, asked.decided_by, asked.decided_at) == ("APPROVED", carol, NOW)
        assert queries.suites_judging(model) == [asked]
        assert trail(asked)[-1] == (
            Action.SUITE_APPROVED, carol.username,
            {"suite": "claims-codes r1", "digest": asked.digest, "reason": asked.decision_reason},
        )  # fmt: skip
        assert sent == [("promotions.start_approved_promotions", {})]

    def test_leaves_the_old_revision_in_force_where_it_is_rejected(
        self, asked, alice, carol, model
    ):
        approve(asked, carol)
        second = ask(alice, model, thresholds={"f1": {"minimum": 0.1}})
        actions.reject_suite(suite=second, approver=carol, reason="Far too low.", now=NOW)
        assert queries.suites_judging(model) == [asked]
        assert trail(second)[-1][0] == Action.SUITE_REJECTED

    def test_takes_another_person_who_is_a_reviewer(self, asked, alice, charlie):
        with pytest.raises(NotPermitted, match="reviewer"):
            approve(asked, alice)
        with pytest.raises(NotPermitted, match="reviewer"):
            approve(asked, charlie)
        both = UserFactory(team=alice.team, with_roles=[Role.MODEL_OWNER, Role.REVIEWER])
        own = ask(both, RegisteredModelFactory(name="own", owner_team=both.team), slug="own-codes")
        with pytest.raises(NotOnesOwn):
            approve(own, both)
        assert EvalSuite.objects.pending().count() == 2

    def test_is_once(self, asked, carol):
        approve(asked, carol)
        with pytest.raises(AlreadyDecided):
            actions.reject_suite(suite=asked, approver=carol, reason="No, rather not.", now=NOW)

    def test_is_for_whoever_asked_to_take_back(self, asked, alice, carol):
        with pytest.raises(NotPermitted):
            actions.withdraw_suite(suite=asked, actor=carol, now=NOW)
        actions.withdraw_suite(suite=asked, actor=alice, now=NOW)
        assert (asked.status, trail(asked)[-1][0]) == ("WITHDRAWN", Action.SUITE_WITHDRAWN)

    def test_waits_for_reviewers_alone(self, asked, alice, carol, charlie):
        assert list(EvalSuite.objects.to_decide(carol)) == [asked]
        assert not EvalSuite.objects.to_decide(alice) and not EvalSuite.objects.to_decide(charlie)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE evals_evalsuite SET thresholds = '{}'", "never changes"),
        ("UPDATE evals_evalsuite SET judges = '[\"*\"]'", "never changes"),
        ("UPDATE evals_evalsuite SET requested_by_id = NULL", "never changes"),
        ("UPDATE evals_suitepacket SET content = '{}'", "never changes"),
    ],
)
def test_what_was_asked_for_never_changes(asked, statement, words):
    with pytest.raises(IntegrityError, match=words), transaction.atomic():
        assert owner_runs(statement)
