"""The registry's own process: what it does first, which keys it believes, when it reads again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.utils.timezone import now as clock

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.catalog import actions
from apps.catalog.models import ModelVersion
from apps.catalog.pages import version_steps
from apps.catalog.signers import actions as signers
from apps.catalog.signers.models import Signer
from apps.catalog.verification import actions as verification
from apps.catalog.verification.models import BucketState, Verification
from apps.catalog.verification.pages import protection_facts
from apps.common.model_manifest import signer_name
from apps.common.signing import FileSigner, public_pem
from apps.integrations.errors import PermanentError, Refused, TemporaryError
from tests.catalog.samples import folder, keeper, safetensors, upload, verified
from tests.database import unguarded
from tests.factories import UserFactory
from tests.integrations import versitygw
from tests.trail import trail

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def now():
    """S3 refuses locks in the past, so these tests use the real day."""
    return clock()


@pytest.fixture
def platform():
    """A platform engineer, who may ask for a key to be revoked."""
    return UserFactory(username="pat", with_roles=[Role.PLATFORM_ENGINEER])


def new_key():
    return FileSigner(ec.generate_private_key(ec.SECP256R1()), "other.pem")


def run(own, turns=20):
    """Have a keeper do what is due, until nothing is."""
    for _ in range(turns):
        if not own.turn():
            return
    raise AssertionError("it does not come to an end")


class TestKeeper:
    def test_publishes_what_was_uploaded_and_notes_whose_key_it_was(self, store, alice, now):
        versions = [upload(store, alice, folder(), now=now) for _ in range(2)]
        run(keeper(store, lambda: now))
        own = FileSigner.load(settings.SIGNING_KEY_FILE)
        (signer,) = Signer.objects.all()
        assert (signer.kind, signer.key_id, signer.key) == ("FILE", "signing.pem", own.public_key)
        assert (signer.active_from, signer.active_to) == (now, None)
        for version in versions:
            version.refresh_from_db()
            assert (version.status, version.signer) == ("VERIFIED", signer.name)
            assert version.protection["encryption"] == [""]
        assert trail(signer) == [
            (
                Action.SIGNER_BEGAN,
                "system:catalog.record_signer",
                {"fingerprint": signer.fingerprint, "kind": "FILE", "key": "signing.pem"},
            )
        ]

    def test_does_first_what_somebody_waits_for(self, store, alice, now):
        old = verified(store, alice, now=now)
        ModelVersion.objects.filter(pk=old.pk).update(next_check_at=now)
        verification.ask_verification(version=old, actor=alice, now=now)
        fresh = upload(store, alice, folder(), now=now)
        own = keeper(store, lambda: now)
        own.turn()
        fresh.refresh_from_db()
        assert fresh.status == "VERIFYING"
        assert Verification.objects.get().status == "RUNNING"

    def test_signs_with_a_new_key_and_believes_the_former_one(self, store, alice, now):
        before, other = verified(store, alice, now=now), new_key()
        later = now + timedelta(hours=1)
        after = upload(store, alice, folder(), now=later)
        run(keeper(store, lambda: later, signer=other))
        after.refresh_from_db()
        assert (after.status, after.signer) == ("VERIFIED", signer_name(other.public_key))
        first, second = (
            Signer.objects.get(name=before.signer),
            Signer.objects.get(name=after.signer),
        )
        assert (first.active_to, second.active_from, second.active_to) == (later, later, None)
        assert trail(first)[-1][0] == Action.SIGNER_ENDED
        much_later = now + 2 * DAY
        run(keeper(store, lambda: much_later, signer=other))
        for version in (before, after):
            version.refresh_from_db()
            assert (version.status, version.reason) == ("VERIFIED", "")
            assert version.observed_at == much_later

    def test_goes_back_to_a_former_key(self, store, now):
        own, other = keeper(store, lambda: now), keeper(store, lambda: now + DAY, signer=new_key())
        own.begin(None)
        other.begin(None)
        keeper(store, lambda: now + 2 * DAY).begin(None)
        assert Signer.objects.filter(active_to=None).count() == 1
        assert Signer.objects.get(active_to=None).key == own.signer().public_key

    def test_notes_former_keys_that_are_named(self, store, now, tmp_path):
        former = [new_key().public_key for _ in range(2)]
        path = tmp_path / "former.pem"
        own = keeper(store, lambda: now)
        path.write_bytes(b"".join(map(public_pem, [own.signer().public_key, *former])))
        for _ in range(2):
            own.begin(path)
        found = {signer.name: signer for signer in Signer.objects.all()}
        assert found.keys() == {signer_name(key) for key in (own.signer().public_key, *former)}
        assert {found[signer_name(key)].kind for key in former} == {"FORMER"}
        assert all(found[signer_name(key)].active_to for key in former)
        assert AuditEvent.objects.filter(action=Action.SIGNER_BEGAN).count() == 3

    @pytest.mark.parametrize(
        "error",
        [
            TemporaryError("Vault cannot be reached: ConnectTimeout."),
            Refused("Vault does not let us use the key: permission denied.", status=403),
        ],
    )
    def test_reads_and_verifies_while_the_key_is_away_or_refused(self, store, alice, now, error):
        old, fresh = verified(store, alice, now=now), upload(store, alice, folder(), now=now)

        def away():
            raise error

        own = keeper(store, lambda: now)
        own.signer = away
        own.begin(None)
        verification.ask_verification(version=old, actor=alice, now=now)
        run(own)
        fresh.refresh_from_db()
        assert (fresh.status, fresh.reason) == ("SIGNING", "WAITING")
        assert str(error) in fresh.message
        assert all(file.read_back_at for file in fresh.files.all())
        assert Verification.objects.get().status == "PASSED"
        later = fresh.next_check_at
        run(keeper(store, lambda: later))
        fresh.refresh_from_db()
        assert fresh.status == "VERIFIED"

    def test_signs_nothing_with_a_revoked_key(self, store, alice, carol, platform, now):
        own = keeper(store, lambda: now)
        own.begin(None)
        revoke(Signer.objects.get(), platform, carol, now)
        version = upload(store, alice, folder(), now=now)
        run(own)
        version.refresh_from_db()
        assert (version.status, version.reason) == ("SIGNING", "WAITING")
        assert "was revoked. Nothing is signed" in version.message
        later = version.next_check_at
        run(keeper(store, lambda: later, signer=new_key()))
        version.refresh_from_db()
        assert version.status == "VERIFIED"

    def test_takes_what_a_revoked_key_signed_out_of_use_whenever_it_is_found(
        self, store, alice, now
    ):
        """A signature that was on its way while the key was revoked is in no list of that day."""
        old, read, fresh = (
            verified(store, alice, now=now),
            verified(store, alice, now=now),
            upload(store, alice, folder(), now=now),
        )
        own = keeper(store, lambda: now)
        own._version()
        fresh.refresh_from_db()
        assert fresh.status == "VERIFYING"
        reading = verification.ask_verification(version=read, actor=alice, now=now)
        Signer.objects.update(revoked_at=now, active_to=now)
        run(own)
        run(keeper(store, lambda: now + DAY))
        for version in (old, read, fresh):
            version.refresh_from_db()
            assert (version.status, version.reason) == ("QUARANTINED", "SIGNER_REVOKED")
            assert version.message == f"Its signer, {version.signer}, was revoked."
            assert trail(version)[-1][0] == Action.VERSION_QUARANTINED
            with pytest.raises(verification.CannotVerify):
                verification.ask_verification(version=version, actor=alice, now=now)
        reading.refresh_from_db()
        assert (reading.status, reading.reason) == ("ENDED", "SIGNER_REVOKED")
        steps = version_steps(old, list(old.files.all()), [])
        assert [step["label"] for step in steps][-1] == "Signing key revoked"


def revoke(signer, asker, decider, now):
    row = signers.request_revocation(
        signer=signer, justification="The key was copied.", requester=asker, now=now
    )
    return signers.approve_revocation(row=row, approver=decider, reason="Seen.", now=now)


class TestSchedule:
    def test_reads_each_version_again_once_its_time_has_come(self, store, alice, now):
        versions = [verified(store, alice, now=now) for _ in range(2)]
        run(keeper(store, lambda: now + 6 * DAY))
        assert not Verification.objects.exists()
        run(keeper(store, lambda: now + 7 * DAY))
        found = Verification.objects.order_by("version")
        assert [row.version for row in found] == versions
        for row in found:
            assert (row.status, row.cause, row.requested_by) == ("PASSED", "SCHEDULE", None)
            assert row.bytes_done == row.bytes_total > 0
            assert trail(row.version)[-1][0] == Action.VERIFICATION_PASSED
        run(keeper(store, lambda: now + 7 * DAY + timedelta(hours=2)))
        assert Verification.objects.count() == 2

    def test_tries_a_reading_without_a_result_again_a_day_later(self, store, alice, now):
        version, other = (verified(store, alice, now=now) for _ in range(2))
        for each in (version, other):
            row = verification.ask_verification(version=each, actor=alice, now=now + 6 * DAY)
            if each == other:
                verification.record_passed(row=row, protection={}, now=now)
            else:
                verification.record_ended(row=row, message="AccessDenied.", now=now)
        assert verification.open_due(every=6 * DAY, now=now + 6.5 * DAY) == 0
        assert verification.open_due(every=6 * DAY, now=now + 7 * DAY) == 1
        assert version.verifications.open().get().cause == "SCHEDULE"

    def test_reads_no_version_that_is_out_of_use(self, store, alice, now):
        version, other = (verified(store, alice, now=now) for _ in range(2))
        actions.quarantine_version(version=version, reason="R", message="m", now=now)
        assert verification.open_due(every=DAY, now=now + DAY) == 1
        assert Verification.objects.get().version == other


class TestBucket:
    def test_is_checked_at_the_start_and_kept(self, store, now):
        keeper(store, lambda: now).turn()
        row = BucketState.objects.get()
        found = {item["name"]: item["verdict"] for item in row.settings}
        assert (row.bucket, row.checked_at, row.problem) == (store.bucket, now, "")
        assert found == {
            "Versioning": "RIGHT", "Object Lock": "RIGHT", "Default retention": "WRONG",
            "Encryption": "UNKNOWN", "Replication": "UNKNOWN", "Public access": "UNKNOWN",
        }  # fmt: skip

    def test_a_change_is_in_the_record_and_an_answer_that_fails_changes_nothing(self, store, now):
        own = keeper(store, lambda: now)
        own.check_bucket()
        with unguarded():
            BucketState.objects.update(settings=[{"name": "Versioning", "verdict": "WRONG"}])
        own.check_bucket()
        own.check_bucket()
        (event,) = AuditEvent.objects.filter(action=Action.BUCKET_CHANGED)
        assert event.data["before"] == [{"name": "Versioning", "verdict": "WRONG"}]

        class Away:
            bucket = store.bucket

            def bucket_facts(self):
                raise PermanentError("The model registry (S3) refused it: AccessDenied.")

        kept = BucketState.objects.get()
        keeper(Away(), lambda: now + DAY).check_bucket()
        row = BucketState.objects.get()
        assert (row.settings, row.checked_at) == (kept.settings, now)
        assert "AccessDenied" in row.problem


class Encrypted:
    """The store, where S3 says that every object is encrypted with one key."""

    def __init__(self, store, key):
        self._store, self._key = store, key

    def __getattr__(self, name):
        return getattr(self._store, name)

    def head(self, key):
        found = self._store.head(key)
        return found and replace(found, encryption="aws:kms", kms_key=self._key, bucket_key=True)


class TestEncryption:
    def test_is_asked_for_before_a_version_is_used_and_keeps_what_was_verified_before(
        self, store, alice, now
    ):
        """Whoever sets another key takes no version that serves out of use."""
        kept = Encrypted(store, "arn:aws:kms:us-east-1:111122223333:key/0a1b")
        before = verified(kept, alice, now=now)
        fresh = upload(store, alice, folder(), now=now)
        run(keeper(kept, lambda: now + DAY, kms_key="9z"))
        for version in (before, fresh):
            version.refresh_from_db()
        assert (before.status, before.reason) == ("VERIFIED", "")
        assert (fresh.status, fresh.reason) == ("QUARANTINED", "NOT_ENCRYPTED")
        said = dict(protection_facts(before, "9z"))["Encrypted"]
        assert str(said).endswith("with a bucket key; today the settings ask for 9z")
        assert str(dict(protection_facts(before, "0a1b"))["Encrypted"]).endswith("a bucket key")


class TestTamperedBucket:
    """What somebody with the bucket's key can do after a version was verified."""

    def test_a_file_written_anew_is_named_with_its_bytes(self, store, alice, now):
        version, other = (verified(store, alice, now=now) for _ in range(2))
        versitygw.put_raw(store, version.prefix + "model.safetensors", safetensors(5))
        run(keeper(store, lambda: now + DAY))
        for row in (version, other):
            row.refresh_from_db()
        assert (version.status, version.reason) == ("QUARANTINED", "REPLACED")
        size = len(safetensors())
        assert f"bytes 0 to {size - 1} differ" in version.message
        facts = trail(version)[-1][2]
        assert (facts["file"], facts["first_byte"], facts["last_byte"]) == (
            "model.safetensors", 0, size - 1,
        )  # fmt: skip
        assert other.status == "VERIFIED"

    def test_a_file_that_was_renamed_is_missing(self, store, alice, now):
        version = verified(store, alice, now=now)
        body = b"".join(store.read(version.prefix + "LICENSE"))
        versitygw.put_raw(store, version.prefix + "LICENSE.txt", body)
        store._s3.delete_object(Bucket=store.bucket, Key=version.prefix + "LICENSE")
        run(keeper(store, lambda: now + DAY))
        version.refresh_from_db()
        assert (version.status, version.reason) == ("QUARANTINED", "EXTRA_OBJECT")
        assert "LICENSE.txt" in version.message

    def test_bytes_changed_below_s3_are_found_by_reading_them(self, store, alice, now, s3_folder):
        """Nothing that S3 tells has changed: version, size and lock are the same."""
        version, other = (verified(store, alice, now=now) for _ in range(2))
        path = s3_folder / "data" / store.bucket / version.prefix / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        with path.open("r+b") as file:
            file.write(content)
        run(keeper(store, lambda: now + DAY))
        version.refresh_from_db()
        assert version.status == "VERIFIED"
        run(keeper(store, lambda: now + 7 * DAY))
        for row in (version, other):
            row.refresh_from_db()
        found = Verification.objects.get(version=version)
        assert (found.status, found.file) == ("FAILED", "model.safetensors")
        assert (found.first_byte, found.last_byte) == (0, len(content) - 1)
        assert (version.status, version.reason) == ("QUARANTINED", "DIGEST_MISMATCH")
        assert (other.status, Verification.objects.get(version=other).status) == (
            "VERIFIED", "PASSED",
        )  # fmt: skip
