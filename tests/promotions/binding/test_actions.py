"""Approvals that count no more, because something changed that they were over."""

import json
import threading
from datetime import timedelta

import pytest
import yaml
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from rest_framework.test import APIClient

from apps.access.models import AccessRequest, Grant
from apps.accounts.models import Role, User
from apps.audit.models import Action
from apps.audit.timeline import timeline
from apps.common.canonical import digest_of_bytes
from apps.common.decisions import AlreadyDecided
from apps.gateway.reconcile import compiled
from apps.notices.models import Notice
from apps.promotions import actions, begin, stages
from apps.promotions.binding.actions import void_if_changed
from apps.promotions.binding.models import KeptBytes
from apps.promotions.dossier import dossier_of
from apps.promotions.models import Promotion, Rollout
from tests.database import unguarded
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories
from tests.promotions.policies import put_in_force
from tests.promotions.seeing import seen
from tests.trail import trail

LATER = NOW + timedelta(minutes=10)


def propose(model, number, owner):
    version = factories.version(model, number)
    factories.run(version)
    return actions.request_promotion(
        version=version, requester=owner, justification="Better codes", now=NOW
    )


def approve(promotion, person, now=NOW):
    promotion = Promotion.objects.get(pk=promotion.pk)
    return actions.approve_promotion(
        promotion=promotion, approver=person, seen=seen(promotion, now), reason="Good", now=now
    )


def sweep(promotion, now=LATER):
    promotion = Promotion.objects.get(pk=promotion.pk)
    return begin.start_if_free(promotion=promotion, actor=begin.WORKER, now=now)


@pytest.fixture
def ravi():
    return UserFactory(with_roles=[Role.REVIEWER])


@pytest.fixture
def halfway(registered_model, alice, carol):
    """A promotion that one of two approved, and another one that must stay as it is."""
    put_in_force(approvals=2)
    live = factories.live(registered_model, 6)
    promotion = propose(registered_model, 7, alice)
    approve(promotion, carol)
    other = propose(RegisteredModelFactory(name="denial-letters", owner_team=alice.team), 3, alice)
    approve(other, carol)
    return promotion, other, live


def new_run(promotion, settings):
    factories.run(promotion.model_version, at=NOW + timedelta(minutes=1))


def new_baseline(promotion, settings):
    with unguarded():
        Rollout.objects.filter(registered_model=promotion.registered_model).update(
            status="REPLACED"
        )
    factories.live(promotion.registered_model, 8)


def new_image(promotion, settings):
    settings.SERVING_IMAGE = "vllm/vllm-openai:v0.99.0"


def new_setting(promotion, settings):
    settings.LIMIT_COST = "input_tokens + output_tokens * 2u"


def new_signature(promotion, settings):
    with unguarded():
        type(promotion.model_version).objects.filter(pk=promotion.model_version_id).update(
            signature_digest="sha256:" + "9" * 64
        )


def new_policy(promotion, settings):
    put_in_force(now=NOW + timedelta(minutes=1), approvals=3)


CHANGES = {
    new_run: "Evaluation run: was ",
    new_baseline: "Version that serves: was prior-auth-extract-v6, is prior-auth-extract-v8.",
    new_image: "is vllm/vllm-openai:v0.99.0.",
    new_setting: "Setting limit cost: was total_tokens, is input_tokens",
    new_signature: "Signature: was ",
    new_policy: "Promotion policy: was ",
}


@pytest.mark.django_db
class TestVoidIfChanged:
    def test_changes_nothing_while_nothing_changed(self, halfway):
        promotion, _, _ = halfway
        before = trail(promotion)
        assert void_if_changed(promotion=promotion, now=LATER) == []
        assert (promotion.approvals.counting().count(), trail(promotion)) == (1, before)

    @pytest.mark.parametrize("change", CHANGES)
    def test_voids_every_approval_once_whatever_changed(
        self, halfway, carol, alice, settings, change
    ):
        promotion, other, _ = halfway
        change(promotion, settings)
        with django_sees(other):
            assert sweep(promotion) is sweep(promotion) is None
        promotion.refresh_from_db()
        approval = promotion.approvals.get()
        assert (approval.voided_at, promotion.voided_at) == (LATER, LATER)
        assert CHANGES[change] in approval.void_reason == promotion.void_reason
        assert (promotion.status, stages.stage_of(promotion)) == ("PENDING", "PROPOSED")
        (event,) = [each for each in trail(promotion) if each[0] == Action.PROMOTION_VOIDED]
        assert event[1] == "system:promotions.void_approvals"
        assert event[2]["reason"] == promotion.void_reason
        assert (event[2]["approvals"], bool(event[2]["differences"])) == (["carol"], True)
        told = Notice.objects.filter(key__startswith="promotion-voided")
        assert set(told.values_list("user__username", flat=True)) == {"alice", "carol"}

    def test_says_so_on_page_list_timeline_and_api(self, halfway, client, carol, settings):
        promotion, _, _ = halfway
        new_image(promotion, settings)
        sweep(promotion)
        client.force_login(carol)
        page = client.get(reverse("promotions:promotion_detail", args=[promotion.pk]))
        text = " ".join(page.content.decode().split())
        assert "Its approvals were voided: what they were over changed." in text
        assert "Voided" in text and "is vllm/vllm-openai:v0.99.0." in text
        listed = client.get(reverse("promotions:promotion_list")).content.decode()
        assert "Approval voided, needs 2 approvals" in listed
        label = str(Action.PROMOTION_VOIDED.label)
        assert [each.tone for each in timeline("Promotion", promotion.pk) if each.label == label]
        api = APIClient()
        api.force_authenticate(carol)
        found = api.get(reverse("api:promotion", args=[promotion.pk])).json()
        assert found["void_reason"] == promotion_of(promotion).void_reason != ""
        (decision,) = found["decisions"]
        assert (decision["counts"], decision["voided_at"] is not None) == (False, True)
        assert found["binding"] == promotion.binding

    def test_lets_nobody_decide_over_it_until_it_is_as_it_was(self, halfway, carol, ravi, settings):
        promotion, _, _ = halfway
        was = settings.SERVING_IMAGE
        new_image(promotion, settings)
        with pytest.raises(actions.NotEligible, match="Engine image: was"):
            approve(promotion, ravi)
        # seen by the approval that was refused, and kept
        assert promotion_of(promotion).voided_at == NOW
        settings.SERVING_IMAGE = was
        assert approve(promotion, ravi, LATER) is None
        rollout = approve(promotion, carol, LATER)
        assert rollout.promotion == promotion
        rows = promotion.approvals.order_by("pk")
        assert [row.counts for row in rows] == [False, True, True]

    def test_stops_what_is_approved_and_waits_for_its_start(
        self, registered_model, alice, carol, settings, monkeypatch
    ):
        promotion = waiting(registered_model, alice, carol, monkeypatch)
        monkeypatch.undo()
        new_baseline(promotion, settings)
        assert sweep(promotion) is None
        found = promotion_of(promotion)
        assert (found.status, found.decided_at, found.voided_at) == ("PENDING", None, LATER)
        assert not Rollout.objects.filter(promotion=promotion).exists()

    def test_gives_way_to_a_newer_proposal_of_the_model(
        self, registered_model, alice, carol, settings, monkeypatch
    ):
        promotion = waiting(registered_model, alice, carol, monkeypatch)
        newer = propose(registered_model, 9, alice)
        new_image(promotion, settings)
        sweep(promotion)
        assert promotion_of(promotion).status == "SUPERSEDED"
        assert promotion_of(newer).status == "PENDING"

    def test_goes_on_under_its_own_policy_once_it_is_approved(
        self, registered_model, alice, carol, settings, monkeypatch
    ):
        promotion = waiting(registered_model, alice, carol, monkeypatch)
        monkeypatch.undo()
        new_policy(promotion, settings)
        assert sweep(promotion).promotion == promotion

    def test_is_not_touched_by_a_new_grant(self, halfway, registered_model, alice):
        promotion, _, _ = halfway
        before = compiled(registered_model, []).digest
        team = UserFactory().team
        asked = AccessRequest.objects.create(
            registered_model=registered_model, team=team, requested_by=UserFactory(team=team),
            requested_at=NOW, purpose="Reads packets", data_class="PHI", tokens_per_minute=1000,
            monthly_budget_usd=100, expires_date=NOW.date() + timedelta(days=30),
            status="APPROVED", decided_by=alice, decided_at=NOW,
        )  # fmt: skip
        grant = Grant.objects.create(
            request=asked, registered_model=registered_model, team=team, tokens_per_minute=1000,
            active_from=NOW, active_to=NOW + timedelta(days=30),
        )  # fmt: skip
        assert compiled(registered_model, [grant]).digest != before
        assert void_if_changed(promotion=promotion, now=LATER) == []

    def test_is_done_whoever_turns_out_to_be_whom(self, halfway, carol, alice, settings):
        promotion, other, _ = halfway
        User.objects.filter(pk=carol.pk).update(person=alice.person)
        new_image(promotion, settings)
        with django_sees(other):
            sweep(promotion)
        assert promotion.approvals.get().voided_at == LATER

    def test_is_never_done_once_the_rollout_began(self, registered_model, alice, carol, settings):
        promotion = propose(registered_model, 7, alice)
        approve(promotion, carol)
        new_image(promotion, settings)
        assert void_if_changed(promotion=promotion, now=LATER) == []
        assert promotion.approvals.counting().count() == 1

    def test_the_database_lets_nothing_begin_over_it(self, halfway, settings):
        promotion, other, _ = halfway
        with pytest.raises(IntegrityError, match="never waits again"), transaction.atomic():
            Promotion.objects.filter(pk=other.pk).update(status="APPROVED", decided_at=NOW)
            Promotion.objects.filter(pk=other.pk).update(status="PENDING", decided_at=None)
        new_image(promotion, settings)
        sweep(promotion)
        Promotion.objects.filter(pk=promotion.pk).update(status="APPROVED", decided_at=NOW)
        with pytest.raises(IntegrityError, match="approval of its promotion"), transaction.atomic():
            Rollout.objects.create(
                promotion=promotion, registered_model=promotion.registered_model,
                model_version=promotion.model_version, started_at=NOW, moved_at=NOW,
            )  # fmt: skip


class django_sees:  # noqa: N801 - reads as a phrase
    """Hold that a promotion stays as it is, whatever happens in the block."""

    def __init__(self, promotion):
        self.promotion = promotion

    def __enter__(self):
        self.before = list(self.promotion.approvals.values())

    def __exit__(self, *error):
        assert list(self.promotion.approvals.values()) == self.before


def promotion_of(promotion):
    return Promotion.objects.get(pk=promotion.pk)


def waiting(model, owner, reviewer, monkeypatch):
    """Return a promotion that is approved and whose rollout waits for something."""
    factories.live(model, 6)
    wait = begin.Wait("CHANGE", "Its change is not open yet.")
    monkeypatch.setattr(begin, "waits_for", lambda *_: [wait])
    promotion = propose(model, 7, owner)
    assert approve(promotion, reviewer) is None
    assert promotion_of(promotion).status == "APPROVED"
    return promotion


class TestAtTheSameTime:
    def test_two_sweeps_void_once_and_start_nothing(
        self, committed, registered_model, alice, carol, settings, monkeypatch
    ):
        promotion = waiting(registered_model, alice, carol, monkeypatch)
        monkeypatch.undo()
        factories.run(promotion.model_version, at=NOW + timedelta(minutes=1))
        start, found = threading.Barrier(2), []

        def run():
            start.wait()
            try:
                found.append(sweep(promotion))
            finally:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [None, None]
        assert [each[0] for each in trail(promotion)].count(Action.PROMOTION_VOIDED) == 1
        assert not Rollout.objects.filter(promotion=promotion).exists()

    @pytest.mark.parametrize("door", ["void", "withdraw"])
    def test_whoever_comes_while_it_begins_finds_that_it_began(
        self, committed, registered_model, alice, carol, monkeypatch, door
    ):
        promotion = waiting(registered_model, alice, carol, monkeypatch)
        monkeypatch.undo()
        found = []

        def come():
            mine = Promotion.objects.get(pk=promotion.pk)
            try:
                if door == "void":
                    found.append(void_if_changed(promotion=mine, now=LATER))
                else:
                    actions.withdraw_promotion(promotion=mine, actor=alice, now=LATER)
            except AlreadyDecided as error:
                found.append(str(error))
            finally:
                connection.close()

        thread = threading.Thread(target=come)
        with transaction.atomic():
            assert isinstance(sweep(promotion), Rollout)
            thread.start()
            thread.join(timeout=1)  # it waits for this to end
            assert thread.is_alive()
        thread.join()
        assert found == [[] if door == "void" else "This proposal is approved already."]
        assert promotion_of(promotion).status == "APPROVED"

    def test_whoever_gives_a_third_approval_of_two_meanwhile_is_too_late(
        self, committed, halfway, ravi
    ):
        promotion, found = halfway[0], []
        nina = UserFactory(with_roles=[Role.REVIEWER])

        def come():
            try:
                approve(promotion, nina)
            except AlreadyDecided as error:
                found.append(str(error))
            finally:
                connection.close()

        thread = threading.Thread(target=come)
        with transaction.atomic():
            assert isinstance(approve(promotion, ravi), Rollout)
            thread.start()
            thread.join(timeout=1)
            assert thread.is_alive()
        thread.join()
        assert found == ["This proposal is approved already."]


@pytest.mark.django_db
class TestDossier:
    def test_is_kept_to_the_byte_with_the_approvals_before_it(self, halfway, carol, ravi, client):
        promotion, other, _ = halfway
        approve(promotion, ravi, LATER)
        first, last = promotion.approvals.order_by("decided_at")
        content = dossier_of(promotion)
        assert digest_of_bytes(content) == last.dossier_digest == promotion.dossier_digest(LATER)
        assert promotion.dossier_digest(until=NOW) == first.dossier_digest
        said = json.loads(content)
        assert said["binding_digest"] == promotion.binding_digest == last.binding_digest
        assert said["binding"] == promotion.binding
        assert [(each["by"], each["dossier"]) for each in said["approvals"]] == [
            ("carol", first.dossier_digest)
        ]
        assert json.loads(dossier_of(promotion, first.dossier_digest))["approvals"] == []
        assert dossier_of(promotion, other.approvals.get().dossier_digest) is None
        client.force_login(carol)
        where = reverse("promotions:promotion_dossier", args=[promotion.pk])
        answer = client.get(where, {"digest": first.dossier_digest})
        assert digest_of_bytes(answer.content) == first.dossier_digest
        assert client.get(where).content == content
        assert client.get(where, {"digest": "sha256:0"}).status_code == 404
        api = APIClient()
        api.force_authenticate(carol)
        assert api.get(reverse("api:promotion_dossier", args=[promotion.pk])).content == content

    def test_names_bytes_that_are_all_kept(self, halfway):
        promotion, _, _ = halfway
        named = {
            digest
            for files in promotion.binding["steps"].values()
            for digest in files.values()
            if digest
        }
        kept = KeptBytes.objects.contents(named)
        assert {digest: digest_of_bytes(content) for digest, content in kept.items()} == {
            digest: digest for digest in named
        }


class TestRoutesByClass:
    """A version whose engine takes calls by their priority has a rule for batch calls, whether it
    is the one that is proposed or the one that serves.
    """

    PRIORITY = {"priority_scheduling": True}  # noqa: RUF012

    def rules(self, rollout, step):
        (path,) = (name for name in rollout.promotion.binding["steps"][step] if "route" in name)
        digest = rollout.promotion.binding["steps"][step][path]
        (route,) = yaml.safe_load_all(KeptBytes.objects.contents([digest])[digest])
        return [
            {ref["name"]: "bodyMutation" in ref for ref in rule["backendRefs"]}
            for rule in route["spec"]["rules"]
        ]

    def test_are_bound_for_both_versions_in_every_step(self, registered_model, alice):
        live = factories.live(registered_model, 6, serving_settings=self.PRIORITY)
        other = factories.live(RegisteredModelFactory(owner_team=alice.team), 3)
        first, second = f"{registered_model.name}-v6", f"{registered_model.name}-v7"
        assert self.rules(live, "SHIFT") == [{first: False}, {first: True}]
        assert len(self.rules(other, "SHIFT")) == 1
        proposed = propose(registered_model, 7, alice)
        steps = proposed.binding["steps"]
        canary = next(step for step in steps if step.startswith("SHIFT_"))
        rollout = Rollout(promotion=proposed)
        assert self.rules(rollout, canary) == [
            {second: False, first: False},
            {second: False, first: True},
        ]
        assert self.rules(rollout, "SHIFT") == [{second: False}]
        for back in ("RETURN", "REMOVE"):
            assert self.rules(rollout, back) == [{first: False}, {first: True}]
