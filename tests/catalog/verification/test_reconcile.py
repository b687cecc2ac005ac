"""A reading of every byte: in turns, on after a crash, and what it means for the version."""

from contextlib import suppress
from datetime import timedelta
from itertools import repeat

import pytest
from django.conf import settings
from django.utils.timezone import now as clock

from apps.accounts.models import Role
from apps.audit.models import Action
from apps.catalog.verification import actions
from apps.catalog.verification.actions import CannotVerify
from apps.catalog.verification.models import Verification
from apps.catalog.verification.reconcile import reconcile_verification
from apps.common import model_manifest
from apps.common.errors import NotPermitted
from apps.common.signing import FileSigner
from apps.integrations.errors import PermanentError, TemporaryError
from tests.catalog.samples import folder, safetensors, upload, verified
from tests.factories import UserFactory
from tests.integrations import versitygw
from tests.trail import trail

pytestmark = pytest.mark.django_db
RANGE = 100
WEIGHTS = safetensors(250)  # 600 bytes or so: several ranges


@pytest.fixture
def now():
    """S3 refuses locks in the past, so these tests use the real day."""
    return clock()


@pytest.fixture
def small(monkeypatch):
    """Have ranges of 100 bytes."""
    monkeypatch.setattr(model_manifest, "RANGE_SIZE", RANGE)


@pytest.fixture
def version(small, store, alice, now):
    """A verified version whose weights have several ranges."""
    return verified(store, alice, now=now, contents=folder(model__safetensors=WEIGHTS))


class Watched:
    """The store, with where each reading began; it dies before the nth one."""

    def __init__(self, store, *, dies_at=0):
        self._store, self._dies_at, self.asked = store, dies_at, []

    def __getattr__(self, name):
        return getattr(self._store, name)

    def read_from(self, key, *, version_id="", first=0):
        self.asked.append((key.rpartition("/")[2], first))
        if len(self.asked) == self._dies_at:
            raise Killed
        return self._store.read_from(key, version_id=version_id, first=first)


class Killed(BaseException):
    """kill -9, as near as a test comes."""


def look(row, store, *, slow=False):
    """Take one turn. slow: each look at the clock is 20 s after the last one, so that a turn is
    over after a range or two.
    """
    ticks = iter(range(0, 10_000_000, 20)) if slow else repeat(0)
    row.refresh_from_db()
    reconcile_verification(
        row=row,
        store=store,
        keys=lambda: [FileSigner.load(settings.SIGNING_KEY_FILE).public_key],
        now=row.next_check_at,
        clock=lambda: float(next(ticks)),
    )
    row.refresh_from_db()
    return row


class TestTurns:
    def test_each_begins_where_the_last_one_ended(self, version, store, alice, now):
        row, watched = (
            actions.ask_verification(version=version, actor=alice, now=now),
            Watched(store),
        )
        behind = []
        while row.status == "RUNNING":
            behind.append(row.ranges_done)
            look(row, watched, slow=True)
            assert len(behind) < 50
        assert row.status == "PASSED"
        assert behind == sorted(set(behind))
        assert len(behind) > 3
        weights = [first for name, first in watched.asked if name == "model.safetensors"]
        assert weights == sorted(set(weights))
        assert all(first % RANGE == 0 for first in weights)
        assert row.bytes_done == row.bytes_total
        assert trail(version)[-1][0] == Action.VERIFICATION_PASSED

    def test_goes_on_after_a_kill_at_the_range_it_had_kept(self, version, store, alice, now):
        row = actions.ask_verification(version=version, actor=alice, now=now)
        while row.ranges_done < 4:
            look(row, store, slow=True)
        kept = row.ranges_done
        with suppress(Killed):
            look(row, Watched(store, dies_at=1))
        row.refresh_from_db()
        assert (row.status, row.ranges_done) == ("RUNNING", kept)
        assert row.next_check_at > now + timedelta(minutes=2)
        watched = Watched(store)
        assert look(row, watched).status == "PASSED"
        assert watched.asked[0] != ("LICENSE", 0)

    def test_names_the_range_that_differs_and_takes_the_version_out_of_use(
        self, version, store, alice, now, s3_folder
    ):
        path = s3_folder / "data" / store.bucket / version.prefix / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[3 * RANGE + 5] ^= 1
        with path.open("r+b") as file:
            file.write(content)
        row = look(actions.ask_verification(version=version, actor=alice, now=now), store)
        version.refresh_from_db()
        assert (row.status, row.file, row.first_byte, row.last_byte) == (
            "FAILED", "model.safetensors", 300, 399,
        )  # fmt: skip
        assert "bytes 300 to 399 have sha256" in row.message
        assert (version.status, version.reason) == ("QUARANTINED", "DIGEST_MISMATCH")
        facts = trail(version)[-1][2]
        assert (facts["first_byte"], facts["last_byte"]) == (300, 399)
        look(actions.ask_verification(version=version, actor=alice, now=now), store)
        assert [each[0] for each in trail(version)][-4:] == [
            Action.VERIFICATION_FAILED, Action.VERSION_QUARANTINED,
            Action.VERIFICATION_ASKED, Action.VERIFICATION_FAILED,
        ]  # fmt: skip

    def test_waits_while_s3_is_away_and_ends_without_a_result_where_it_refuses(
        self, version, store, alice, now
    ):
        class Broken:
            error = TemporaryError("The model registry (S3) cannot be reached.")

            def __getattr__(self, name):
                raise self.error

        row = actions.ask_verification(version=version, actor=alice, now=now)
        look(row, Broken())
        assert (row.status, row.reason) == ("RUNNING", "WAITING")
        assert "cannot be reached" in row.message
        Broken.error = PermanentError("The model registry (S3) refused it: AccessDenied.")
        look(row, Broken())
        version.refresh_from_db()
        assert (row.status, version.status) == ("ENDED", "VERIFIED")
        assert trail(version)[-1][0] == Action.VERIFICATION_ENDED

    def test_leaves_a_reading_that_another_process_has_ended(self, version, store, alice, now):
        row = actions.ask_verification(version=version, actor=alice, now=now)

        class Meanwhile(Watched):
            def list_keys(self, prefix):
                same = Verification.objects.get(pk=row.pk)
                actions.record_passed(row=same, protection={}, now=now)
                return store.list_keys(prefix)

        watched = Meanwhile(store)
        look(row, watched, slow=True)
        assert (row.status, row.next_check_at, row.finished_at) == ("PASSED", None, now)
        assert len(watched.asked) == 1

    def test_finds_an_object_that_nobody_declared(self, version, store, alice, now):
        versitygw.put_raw(store, version.prefix + "evil.py", b"import os")
        row = look(actions.ask_verification(version=version, actor=alice, now=now), store)
        version.refresh_from_db()
        assert (row.status, row.reason, row.file) == ("FAILED", "EXTRA_OBJECT", "evil.py")
        assert version.status == "QUARANTINED"


class TestAskVerification:
    def test_is_one_at_a_time_and_in_the_record(self, version, store, alice, now):
        other = verified(store, alice, now=now)
        actions.ask_verification(version=version, actor=alice, now=now)
        with pytest.raises(CannotVerify):
            actions.ask_verification(version=version, actor=alice, now=now)
        actions.ask_verification(version=other, actor=alice, now=now)
        assert Verification.objects.count() == 2
        assert trail(version)[-1][:2] == (Action.VERIFICATION_ASKED, "alice")

    def test_needs_something_to_compare_with(self, store, alice, now):
        with pytest.raises(CannotVerify):
            actions.ask_verification(
                version=upload(store, alice, folder(), now=now), actor=alice, now=now
            )

    @pytest.mark.parametrize(
        ("role", "may"),
        [
            (Role.PLATFORM_ENGINEER, True),
            (Role.AUDITOR, True),
            (Role.REVIEWER, False),
            (Role.MODEL_OWNER, False),
        ],
    )
    def test_is_for_owners_platform_engineers_and_auditors(self, version, now, role, may):
        person = UserFactory(with_roles=[role])
        if may:
            assert actions.ask_verification(version=version, actor=person, now=now)
        else:
            with pytest.raises(NotPermitted):
                actions.ask_verification(version=version, actor=person, now=now)
