"""From uploaded to verified on a real S3 server; every reconciler runs twice, and dies in every
gap.
"""

import hashlib
import json
from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db import IntegrityError
from django.db.transaction import atomic

from apps.audit.models import Action, AuditEvent
from apps.catalog import actions, reconcile
from apps.catalog.facts.gather import FIRST_READ
from apps.catalog.facts.models import ModelFacts
from apps.catalog.facts.reading import READER
from apps.catalog.models import ModelVersion
from apps.common import model_manifest
from apps.common.leases import take_lease
from apps.common.model_manifest import FileEntry, digest
from apps.common.signing import FileSigner
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import RegistryStore
from tests.catalog import configs
from tests.catalog.samples import declared, folder, ranges_of, safetensors, upload
from tests.database import owner_runs, unguarded
from tests.integrations import versitygw

pytestmark = pytest.mark.django_db
Status = ModelVersion.Status


@pytest.fixture
def signer():
    return FileSigner.load(settings.SIGNING_KEY_FILE)


@pytest.fixture
def now():
    """S3 refuses locks in the past, so these tests use the real day."""
    from django.utils.timezone import now

    return now()


@pytest.fixture
def work(store, signer):
    """Run the reconciler `passes` times, each when the row is due."""

    def run(
        version: ModelVersion, passes: int = 3, using: RegistryStore | None = None, **options
    ) -> ModelVersion:
        for _ in range(passes):
            version.refresh_from_db()
            due = version.next_check_at
            if due is None:
                break
            _look(version, using or store, signer, now=due, **options)
        version.refresh_from_db()
        return version

    return run


def _look(version, store, signer, *, now, clock=lambda: 0.0, known=None):
    """Run the reconciler once, at a clock that stands still."""
    reconcile.reconcile_version(
        version=version,
        store=store,
        signer=lambda: signer,
        keys=lambda: known or [signer.public_key],
        now=now,
        clock=clock,
    )


def audited(version) -> list[str]:
    return sorted(
        event.action for event in AuditEvent.objects.about("ModelVersion", str(version.pk))
    )


class Dies:
    """A store whose process is killed before or after the nth call that changes something."""

    CHANGES = ("complete_upload", "put_new", "lock")

    def __init__(self, store: RegistryStore, at: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, at, after

    def __getattr__(self, name):
        method = getattr(self._store, name)
        return self._deadly(method) if name in self.CHANGES else method

    def _deadly(self, method):
        def call(*args, **kwargs):
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            result = method(*args, **kwargs)
            if self._left == 0:
                raise Killed
            return result

        return call


class Killed(BaseException):
    """kill -9, as near as a test comes."""


class TestFacts:
    """What is kept of the files themselves, as they are stored."""

    CARD = b"---\nlicense: apache-2.0\n---\n# Summaries"

    def contents(self):
        shapes = {f"model.layers.{n}.mlp.up_proj.weight": [64, 16] for n in range(2000)}
        header = json.loads(configs.tensors(shapes, "BF16"))  # longer than the first read
        weights = safetensors(2000 * 64 * 16, header)
        assert int.from_bytes(weights[:8], "little") > FIRST_READ
        return folder(
            config__json=json.dumps(configs.LLAMA_8B).encode(),
            model__safetensors=weights,
            README__md=self.CARD,
            chat_template__jinja=b"{{ messages }}",
        )

    def test_are_read_with_the_verification(self, store, alice, work, now):
        version = work(upload(store, alice, self.contents(), now=now))
        facts = ModelFacts.objects.get(version=version)
        assert (facts.architecture, facts.layers, facts.kv_heads) == ("LlamaForCausalLM", 32, 8)
        assert (facts.parameters, facts.weight_bytes) == (2000 * 64 * 16, 2000 * 64 * 16 * 2)
        assert facts.chat_template == "{{ messages }}"
        assert (facts.license_file, facts.license_stated) == ("LICENSE", "apache-2.0")
        assert (facts.problems, facts.reader) == ([], READER)
        event = AuditEvent.objects.get(action=Action.VERSION_FACTS_READ, target_id=str(version.pk))
        assert event.data["facts_digest"] == facts.digest

    def test_of_a_version_that_was_verified_before_come_with_its_next_check(
        self, store, alice, work, now
    ):
        version = work(upload(store, alice, self.contents(), now=now))
        with unguarded():  # as an older reader left it
            ModelFacts.objects.update(reader=READER - 1)
        work(version, passes=2)
        assert set(version.facts.values_list("reader", flat=True)) == {READER - 1, READER}
        assert audited(version).count(Action.VERSION_FACTS_READ) == 2

    def test_say_that_a_configuration_cannot_be_used_and_let_the_version_be_verified(
        self, store, alice, work, now
    ):
        broken = folder(config__json=b'{"num_hidden_layers": -3}')
        version = work(upload(store, alice, broken, now=now))
        assert version.status == Status.VERIFIED
        facts = ModelFacts.objects.get(version=version)
        assert (facts.layers, facts.parameters) == (None, 4)
        assert facts.problems == ["config.json: num_hidden_layers is -3, which cannot be."]

    def test_never_change(self, store, alice, work, now):
        work(upload(store, alice, folder(), now=now))
        for change in (
            "UPDATE catalog_modelfacts SET layers = 1",
            "DELETE FROM catalog_modelfacts",
        ):
            with pytest.raises(IntegrityError, match="never change"), atomic():
                owner_runs(change)


class TestReconcileVersion:
    def test_brings_an_upload_to_verified(self, store, alice, work, now, signer):
        contents = folder()
        version = work(upload(store, alice, contents, now=now))
        assert version.status == Status.VERIFIED
        listed = [*declared(contents), ranges_of(contents)]
        assert version.manifest_digest == digest(listed)
        assert version.signer == model_manifest.signer_name(signer.public_key)
        assert version.bytes_verified == sum(entry.size for entry in listed)
        assert set(store.list_keys(version.prefix)) == {
            version.prefix + name
            for name in [*contents, "ranges.json", "manifest.json", "model.sig"]
        }

    def test_locks_every_object(self, store, alice, work, now):
        version = work(upload(store, alice, folder(), now=now))
        for name in store.list_keys(version.prefix):
            assert store.head(name).locked_until >= version.locked_until > now
        weights = store.head(version.prefix + "model.safetensors")
        assert versitygw.refused(store, weights.key, weights.version_id)

    def test_changes_nothing_when_it_runs_again(self, store, alice, work, now, signer):
        version = work(upload(store, alice, folder(), now=now))
        before = ModelVersion.objects.values().get(pk=version.pk)
        later = now + timedelta(hours=1)
        _look(version, store, signer, now=later)
        assert ModelVersion.objects.values().get(pk=version.pk) == before
        assert audited(version) == [
            Action.VERSION_ADDED, Action.VERSION_FACTS_READ, Action.VERSION_PUBLISHED,
            Action.VERSION_UPLOADED, Action.VERSION_VERIFIED,
        ]  # fmt: skip

    def test_leaves_a_version_alone_that_another_worker_has(self, store, alice, now, signer):
        version = upload(store, alice, folder(), now=now)
        assert take_lease(ModelVersion.objects.get(pk=version.pk), now=now)
        _look(version, store, signer, now=now)
        version.refresh_from_db()
        assert version.status == Status.SIGNING
        assert store.list_keys(version.prefix) == []

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("at", [1, 2, 3, 5, 7, 8])
    def test_goes_on_after_a_kill_anywhere(self, store, alice, work, now, at, after):
        version = upload(store, alice, folder(), now=now)
        with suppress(Killed):
            work(version, passes=1, using=Dies(store, at, after=after))
        version = work(version)
        assert version.status == Status.VERIFIED
        assert audited(version).count(Action.VERSION_PUBLISHED) == 1

    def test_goes_on_after_a_kill_before_the_row(self, store, alice, work, now, monkeypatch):
        version = upload(store, alice, folder(), now=now)
        with monkeypatch.context() as patch:
            patch.setattr(actions, "record_signed", lambda **_: (_ for _ in ()).throw(Killed()))
            with pytest.raises(Killed):
                work(version, passes=1)
        assert work(version).status == Status.VERIFIED

    def test_keeps_its_lease_and_shows_how_far_it_is(self, store, alice, work, now):
        """A file of any size is read in one go; no other process takes the version meanwhile."""
        version = upload(store, alice, folder(), now=now)
        seen = []

        class Watched:
            def __getattr__(self, name):
                return getattr(store, name)

            def put_new(self, *args, **kwargs):
                seen.append(ModelVersion.objects.get(pk=version.pk))
                return store.put_new(*args, **kwargs)

        ticks = iter(range(0, 100_000, 60))
        work(version, passes=1, using=Watched(), clock=lambda: float(next(ticks)))
        assert seen[0].next_check_at - now > timedelta(minutes=10)
        assert seen[0].message == "Reading back model.safetensors."
        assert seen[0].bytes_verified == sum(map(len, folder().values()))

    def test_waits_while_s3_is_away(self, store, alice, work, now):
        class Away:
            def __getattr__(self, name):
                raise TemporaryError("The model registry (S3) cannot be reached.")

        version = work(upload(store, alice, folder(), now=now), passes=1, using=Away())
        assert version.status == Status.SIGNING
        assert "cannot be reached" in version.message
        assert version.next_check_at > now
        assert work(version).status == Status.VERIFIED

    def test_fails_when_s3_refuses_and_can_be_tried_again(self, store, alice, work, now):
        class Refuses:
            def __getattr__(self, name):
                raise PermanentError("The model registry (S3) refused it: AccessDenied.")

        version = work(upload(store, alice, folder(), now=now), passes=1, using=Refuses())
        assert (version.status, version.next_check_at) == (Status.FAILED, None)
        assert "AccessDenied" in version.message
        actions.retry_version(version=version, actor=alice, now=now)
        assert work(version).status == Status.VERIFIED

    @pytest.mark.parametrize(("then", "read"), [("away", 0), ("reads", 1)])
    def test_leaves_a_version_that_was_taken_out_of_use_meanwhile(
        self, store, alice, work, now, then, read
    ):
        """It reads no further, why stays as it was said, and nothing is due."""
        version = work(upload(store, alice, folder(), now=now), passes=1)
        assert version.status == Status.VERIFYING
        why = {"reason": "SIGNER_REVOKED", "message": "Its signer was revoked."}
        asked = []

        class Meanwhile:
            def __getattr__(self, name):
                return getattr(store, name)

            def list_keys(self, prefix):
                same = ModelVersion.objects.get(pk=version.pk)
                actions.quarantine_version(version=same, now=now, **why)
                if then == "away":
                    raise TemporaryError("The model registry (S3) cannot be reached.")
                return store.list_keys(prefix)

            def read_from(self, key, **options):
                asked.append(key)
                return store.read_from(key, **options)

        ticks = iter(range(0, 100_000, 60))
        version = work(version, passes=1, using=Meanwhile(), clock=lambda: float(next(ticks)))
        assert (version.status, version.next_check_at) == (Status.QUARANTINED, None)
        assert {"reason": version.reason, "message": version.message} == why
        assert len(asked) == read

    def test_gives_an_abandoned_upload_up(self, store, alice, work, now):
        version = work(upload(store, alice, folder(), now=now, finish=False), passes=1)
        assert version.status == Status.FAILED
        assert "24 hours" in version.message
        assert store.list_keys(version.prefix) == []


class TestQuarantine:
    def test_names_the_file_whose_digest_differs(self, store, alice, work, now):
        contents = folder()
        files = [
            FileEntry(f.name, f.size, "00" * 32 if f.name == "LICENSE" else f.sha256)
            for f in declared(contents)
        ]
        version = work(upload(store, alice, contents, now=now, files=files))
        assert version.status == Status.QUARANTINED
        assert version.message.startswith("LICENSE: expected 18 bytes with sha256 0000")
        assert declared({"LICENSE": contents["LICENSE"]})[0].sha256 in version.message
        assert version.prefix + "manifest.json" not in store.list_keys(version.prefix)
        assert audited(version).count(Action.VERSION_QUARANTINED) == 1

    def test_sees_a_file_that_changes_after_signing(self, store, alice, work, now):
        version = work(upload(store, alice, folder(), now=now), passes=1)
        assert version.status == Status.VERIFYING
        versitygw.put_raw(store, version.prefix + "model.safetensors", safetensors(5))
        version = work(version)
        assert version.status == Status.QUARANTINED
        assert version.reason == "REPLACED"
        assert version.message.startswith("model.safetensors:")

    def test_sees_an_object_that_nobody_declared(self, store, alice, work, now):
        version = work(upload(store, alice, folder(), now=now), passes=1)
        versitygw.put_raw(store, version.prefix + "evil.py", b"import os")
        version = work(version)
        assert (version.status, version.reason) == (Status.QUARANTINED, "EXTRA_OBJECT")
        assert "evil.py" in version.message

    @pytest.mark.parametrize(
        ("name", "reason"), [("manifest.json", "MANIFEST"), ("model.sig", "SIGNATURE")]
    )
    def test_sees_a_changed_document(self, store, alice, work, now, name, reason):
        version = work(upload(store, alice, folder(), now=now), passes=1)
        versitygw.put_raw(store, version.prefix + name, b"{}")
        version = work(version)
        assert version.status == Status.QUARANTINED
        assert version.reason.startswith(reason)

    def test_never_takes_over_what_lies_there_already(self, store, alice, work, now):
        version = upload(store, alice, folder(), now=now)
        versitygw.put_raw(store, version.prefix + "config.json", b'{"foreign": 1}')
        version = work(version)
        assert (version.status, version.reason) == (Status.QUARANTINED, "DIGEST_MISMATCH")
        assert b"foreign" in b"".join(store.read(version.prefix + "config.json"))

    def test_refuses_configuration_that_asks_for_code(self, store, alice, work, now):
        contents = folder(config__json=b'{"auto_map": {"AutoModel": "x.Y"}}')
        version = work(upload(store, alice, contents, now=now))
        assert (version.status, version.reason) == (Status.QUARANTINED, "BAD_CONTENT")
        assert "auto_map" in version.message

    def test_refuses_a_pickle_that_is_called_safetensors(self, store, alice, work, now):
        version = work(upload(store, alice, folder(model__safetensors=b"\x80\x04K\x01."), now=now))
        assert (version.status, version.reason) == (Status.QUARANTINED, "BAD_CONTENT")


class TestCheckAgain:
    """A version that was verified is looked at once a day."""

    @pytest.fixture
    def verified(self, store, alice, work, now):
        version = work(upload(store, alice, folder(), now=now), passes=2)
        assert version.status == Status.VERIFIED
        return version

    def test_leaves_it_verified_while_nothing_changes(self, verified, work, now):
        again = work(verified, passes=1)
        assert again.status == Status.VERIFIED
        assert again.observed_at == now + timedelta(days=1)
        assert again.next_check_at == now + timedelta(days=2)
        assert audited(again).count(Action.VERSION_VERIFIED) == 1

    def test_knows_the_digest_of_the_signature_from_then_on(self, verified, store, work):
        """Versions that were verified before promotions were bound to it have none yet."""
        stored = store.read_small(verified.prefix + "model.sig", limit=10_000)
        found = f"sha256:{hashlib.sha256(stored).hexdigest()}"
        assert verified.signature_digest == found
        with unguarded():
            ModelVersion.objects.filter(pk=verified.pk).update(signature_digest="")
        verified.refresh_from_db()
        assert work(verified, passes=1).signature_digest == found

    def test_quarantines_it_when_its_files_were_signed_once_more(
        self, verified, store, work, signer
    ):
        """By the same key and over the same files: it is not the signature that was approved."""
        entries = [*declared(folder()), ranges_of(folder())]
        again = model_manifest.sign(name=verified.name, entries=entries, signer=signer)
        versitygw.put_raw(store, verified.prefix + "model.sig", again)
        changed = work(verified, passes=1)
        assert (changed.status, changed.reason) == (Status.QUARANTINED, "SIGNATURE_INVALID")
        assert verified.signature_digest in changed.message

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("model.safetensors", safetensors(5), "REPLACED"),
            ("evil.py", b"import os", "EXTRA_OBJECT"),
            ("manifest.json", b"{}", "MANIFEST_MISMATCH"),
            ("model.sig", b"{}", "SIGNATURE_INVALID"),
        ],
    )
    def test_quarantines_it_when_an_object_changed(
        self, verified, store, work, name, content, reason
    ):
        versitygw.put_raw(store, verified.prefix + name, content)
        changed = work(verified, passes=1)
        assert (changed.status, changed.reason) == (Status.QUARANTINED, reason)
        assert changed.message.startswith(name)
        assert changed.next_check_at is None
        assert audited(changed).count(Action.VERSION_QUARANTINED) == 1

    def test_keeps_it_while_the_registry_is_away_or_refuses(self, verified, store, work, now):
        class Broken:
            error = TemporaryError("The model registry (S3) cannot be reached.")

            def __getattr__(self, name):
                raise self.error

        waiting = work(verified, passes=1, using=Broken())
        assert (waiting.status, waiting.reason) == (Status.VERIFIED, "WAITING")
        asked_at = waiting.next_check_at
        assert asked_at < now + timedelta(days=1, minutes=1)
        Broken.error = PermanentError("The model registry (S3) refused it: AccessDenied.")
        refused = work(waiting, passes=1, using=Broken())
        assert (refused.status, refused.reason) == (Status.VERIFIED, "WAITING")
        assert "AccessDenied" in refused.message
        assert refused.next_check_at == asked_at + timedelta(days=1)
        well = work(refused, passes=1)
        assert (well.status, well.reason, well.message) == (Status.VERIFIED, "", "")

    def test_believes_a_former_key_for_as_long_as_it_is_known(
        self, verified, store, work, signer, tmp_path
    ):
        other = FileSigner.load(new_key(tmp_path))
        known = [other.public_key, signer.public_key]
        _look(verified, store, other, now=verified.next_check_at, known=known)
        verified.refresh_from_db()
        assert verified.status == Status.VERIFIED
        _look(verified, store, other, now=verified.next_check_at, known=known[:1])
        verified.refresh_from_db()
        assert (verified.status, verified.reason) == (Status.VERIFIED, "WAITING")
        assert f"signed by {verified.signer}, whose public key is not known" in verified.message


def new_key(folder):
    """Return the file of a signing key that nobody used before."""
    made = ec.generate_private_key(ec.SECP256R1())
    path = folder / "other.pem"
    path.write_bytes(
        made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path
