"""Revoking a signing key: two people, and what it takes out of use."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import DatabaseError, IntegrityError, transaction
from django.urls import reverse

from apps.accounts.models import Role
from apps.audit.models import Action
from apps.catalog.signers import actions
from apps.catalog.signers.models import Signer, SignerRevocation
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import NotPermitted
from apps.common.signing import FileSigner, fingerprint
from apps.evals import actions as evals
from apps.promotions import queries as promotions
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories as make
from tests.trail import trail

pytestmark = pytest.mark.django_db


def new_key(name):
    return FileSigner(ec.generate_private_key(ec.SECP256R1()), name)


def signer(name="one.pem"):
    return actions.record_signer(signer=new_key(name), now=NOW)


@pytest.fixture
def platform():
    return UserFactory(username="pat", with_roles=[Role.PLATFORM_ENGINEER])


@pytest.fixture
def former():
    """A key that signed before."""
    return signer("former.pem")


@pytest.fixture
def current(former):
    """The key that signs now."""
    return signer("now.pem")


def asked(key, platform):
    return actions.request_revocation(
        signer=key, justification="It was copied.", requester=platform, now=NOW
    )


def signed(model, number, key):
    return make.version(model, number, signer=key.name)


class TestApproveRevocation:
    def test_takes_what_it_signed_out_of_use_and_nothing_else(
        self, registered_model, former, current, platform, carol
    ):
        other = RegisteredModelFactory(name="summary")
        gone = [signed(registered_model, 5, former), signed(other, 5, former)]
        kept = signed(registered_model, 6, current)
        row = actions.approve_revocation(
            row=asked(former, platform), approver=carol, reason="Seen it.", now=NOW
        )
        for version in gone:
            version.refresh_from_db()
            assert (version.status, version.reason) == ("QUARANTINED", "SIGNER_REVOKED")
            assert version.message == (
                f"Its signer, {former.name}, was revoked by {carol.get_full_name()}: Seen it."
            )
            assert trail(version)[-1][0] == Action.VERSION_QUARANTINED
        kept.refresh_from_db()
        assert kept.status == "VERIFIED"
        former.refresh_from_db()
        assert (former.revoked_at, row.status, row.versions) == (NOW, "APPROVED", 2)
        assert trail(former)[-1] == (
            Action.SIGNER_REVOKED, "carol", {"reason": "Seen it.", "versions": 2},
        )  # fmt: skip
        current.refresh_from_db()
        assert (current.revoked_at, current.active_to) == (None, None)

    def test_ends_the_key_that_signs_now(self, current, platform, carol):
        actions.approve_revocation(
            row=asked(current, platform), approver=carol, reason="Seen.", now=NOW
        )
        current.refresh_from_db()
        assert (current.revoked_at, current.active_to) == (NOW, NOW)

    def test_refuses_evaluation_and_proposal_from_then_on(
        self, registered_model, current, platform, alice, carol
    ):
        version = signed(registered_model, 5, current)
        actions.approve_revocation(
            row=asked(current, platform), approver=carol, reason="Seen.", now=NOW
        )
        version.refresh_from_db()
        with pytest.raises(evals.NotVerified):
            evals.start_eval_run(suite=make.suite(), version=version, actor=alice, now=NOW)
        words = [gate.words for gate in promotions.obstacles(version, NOW)]
        assert any("Only a verified version can serve" in one for one in words)

    @pytest.mark.parametrize("role", [Role.MODEL_OWNER, Role.AUDITOR, Role.TEAM_LEAD])
    def test_is_for_reviewers_and_platform_engineers(self, current, platform, role):
        row = asked(current, platform)
        with pytest.raises(NotPermitted):
            actions.approve_revocation(
                row=row, approver=UserFactory(with_roles=[role]), reason="No.", now=NOW
            )

    def test_takes_two_people(self, current, platform):
        row = asked(current, platform)
        with pytest.raises(NotOnesOwn):
            actions.approve_revocation(row=row, approver=platform, reason="Mine.", now=NOW)
        with pytest.raises(DatabaseError), transaction.atomic():
            SignerRevocation.objects.filter(pk=row.pk).update(
                status="APPROVED", decided_by=platform, decided_at=NOW
            )
        current.refresh_from_db()
        assert current.revoked_at is None

    def test_happens_once(self, current, platform, carol):
        row = asked(current, platform)
        actions.reject_revocation(row=row, approver=carol, reason="It was not.", now=NOW)
        with pytest.raises(AlreadyDecided):
            actions.approve_revocation(row=row, approver=carol, reason="Yes.", now=NOW)
        assert trail(row)[-1][:2] == (Action.REVOCATION_REJECTED, "carol")


class TestRecordSigner:
    def test_notes_a_key_once_where_two_processes_begin_with_it(self, former, monkeypatch):
        key, first_signed = new_key("now.pem"), actions._first_signed

        def meanwhile(name):
            monkeypatch.setattr(actions, "_first_signed", first_signed)
            actions.record_signer(signer=key, now=NOW)
            return None

        monkeypatch.setattr(actions, "_first_signed", meanwhile)
        row = actions.record_signer(signer=key, now=NOW)
        assert (row.key, row.active_to) == (key.public_key, None)
        assert [one[0] for one in trail(row)] == [Action.SIGNER_BEGAN]
        assert [one[0] for one in trail(former)] == [Action.SIGNER_BEGAN, Action.SIGNER_ENDED]

    def test_follows_another_key_that_begins_at_the_same_moment(self, former, monkeypatch):
        keys, first_signed = [new_key("a.pem"), new_key("b.pem")], actions._first_signed

        def meanwhile(name):
            monkeypatch.setattr(actions, "_first_signed", first_signed)
            actions.record_signer(signer=keys[1], now=NOW)
            return None

        monkeypatch.setattr(actions, "_first_signed", meanwhile)
        row = actions.record_signer(signer=keys[0], now=NOW)
        assert (row.key, row.active_to) == (keys[0].public_key, None)
        other = Signer.objects.get(fingerprint=fingerprint(keys[1].public_key))
        assert other.active_to is not None


class TestRequestRevocation:
    def test_is_one_at_a_time_and_no_second_one_of_a_revoked_key(
        self, former, current, platform, carol
    ):
        row = asked(former, platform)
        for key in (former,):
            with pytest.raises(actions.CannotRevoke):
                asked(key, platform)
        asked(current, platform)
        actions.withdraw_revocation(row=row, actor=platform, now=NOW)
        actions.approve_revocation(
            row=asked(former, platform), approver=carol, reason="Seen.", now=NOW
        )
        with pytest.raises(actions.CannotRevoke):
            asked(former, platform)

    @pytest.mark.parametrize("role", [Role.MODEL_OWNER, Role.REVIEWER, Role.FINANCE])
    def test_is_for_platform_engineers_and_auditors(self, current, role):
        with pytest.raises(NotPermitted):
            asked(current, UserFactory(with_roles=[role]))


class TestTheDatabase:
    @pytest.mark.parametrize("column", ["fingerprint", "name", "public_key"])
    def test_holds_what_a_key_is(self, current, column):
        with pytest.raises(DatabaseError), transaction.atomic():
            Signer.objects.filter(pk=current.pk).update(**{column: "another"})

    def test_holds_that_one_key_signs_at_a_time(self, former, current):
        with pytest.raises(IntegrityError), transaction.atomic():
            Signer.objects.filter(pk=former.pk).update(active_to=None)

    def test_holds_that_a_revoked_key_stays_so(self, current, platform, carol):
        actions.approve_revocation(
            row=asked(current, platform), approver=carol, reason="Seen.", now=NOW
        )
        with pytest.raises(DatabaseError), transaction.atomic():
            Signer.objects.filter(pk=current.pk).update(revoked_at=None)


class TestPages:
    def test_lists_each_key_with_what_it_signed(
        self, client, registered_model, former, current, carol
    ):
        signed(registered_model, 5, current)
        client.force_login(carol)
        page = client.get(reverse("registry:signer_list")).content.decode()
        assert former.name in page
        assert current.name in page
        assert "Signs now" in page
        assert "Former key" in page

    def test_shows_a_key_and_takes_its_revocation_by_two_people(
        self, client, registered_model, current, platform, carol
    ):
        version = signed(registered_model, 5, current)
        where = reverse("registry:signer_detail", args=[current.fingerprint])
        client.force_login(platform)
        page = client.get(where).content.decode()
        assert version.name in page
        assert "Ask for its revocation" in page
        ask = reverse("registry:signer_revoke", args=[current.fingerprint])
        assert client.post(ask, {"reason": "x"}).status_code == 422
        assert client.post(ask, {"reason": "It was copied."}).status_code == 302
        row = SignerRevocation.objects.get()
        assert (row.signer, row.requested_by) == (current, platform)
        client.force_login(carol)
        page = client.get(where).content.decode()
        assert "Revoke the key, and take 1 version out of use" in page
        approve = reverse("registry:revocation_approve", args=[row.pk])
        assert client.post(approve, {"reason": "Seen it."}).status_code == 302
        version.refresh_from_db()
        assert version.status == "QUARANTINED"
        assert "Signatures of this key no longer count." in client.get(where).content.decode()

    def test_gives_the_public_keys_that_count(self, client, former, current, platform, carol):
        client.force_login(carol)
        where = reverse("registry:trusted_keys")
        assert client.get(where).content.decode() == current.public_key + former.public_key
        actions.approve_revocation(
            row=asked(former, platform), approver=carol, reason="Seen.", now=NOW
        )
        assert client.get(where).content.decode() == current.public_key
