"""The record's page, and what an auditor takes away from it."""

import gzip
import io
import zipfile
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.audit.actions import System, record
from apps.audit.models import Action, AuditEvent, AuditSeal, Checkpoint, Verification
from apps.audit.sealing import checkpoints, seal
from apps.audit.sealing.keeper import Keeper
from apps.audit.sealing.keys import keys_from_settings
from apps.audit.sealing.status import status
from apps.common.signing import public_pem
from apps.oversight.record.badges import anchored_badge, sealed_badge, verified_badge
from tests.factories import TeamFactory, UserFactory
from tests.pages import joined

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor(client):
    user = UserFactory(username="aisha", with_roles=[Role.AUDITOR])
    client.force_login(user)
    return user


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def write(auditor):
    team = TeamFactory(slug="claims-ops")

    def write(count, at):
        return [
            record(action=Action.COST_CENTER_ASSIGNED, actor=System("x"), target=team, now=at)
            for _ in range(count)
        ]

    return write


def sign(at, *, anchored=True):
    """Sign what is sealed with this deployment's key."""
    keeper = Keeper.from_settings()
    made = checkpoints.sign(origin=keeper.origin, signer=keeper.signer, now=at)
    if anchored:
        Checkpoint.objects.filter(pk=made.pk).update(anchored_at=at)
    return made


def verified(at, **facts):
    facts = {"size": 3, "anchored_size": 3, "found": 0} | facts
    return Verification.objects.create(verified_at=at, **facts)


def page(client):
    return joined(client.get("/audit/record/").content)


def words(now):
    found = status(now=now)
    return [made(found).words for made in (sealed_badge, anchored_badge, verified_badge)]


class TestStatus:
    def test_of_nothing_claims_nothing(self, now):
        assert words(now) == ["Nothing sealed yet", "Not anchored yet", "Not verified yet"]

    def test_tells_what_holds(self, write, now):
        write(3, now)
        seal.seal(now=now)
        sign(now)
        verified(now)
        assert words(now) == ["Sealed", "Anchored", "Nothing wrong"]
        found = status(now=now)
        assert (found.size, found.sealed_at, found.waiting) == (3, now, 0)

    def test_tells_what_waits_for_too_long(self, write, now):
        write(2, now)
        assert words(now)[0] == "Nothing sealed yet"
        assert status(now=now).waiting == 2
        later = timezone.now() + timedelta(seconds=61)
        assert words(later)[0] == "2 not sealed"

    def test_tells_what_the_anchor_refuses(self, write, now):
        write(1, now)
        seal.seal(now=now)
        sign(now, anchored=False)
        checkpoints.say_problem("The anchor is away.")
        assert words(now)[1] == "Not anchored"
        assert status(now=now).problem == "The anchor is away."

    def test_believes_no_old_verification_and_hides_no_finding(self, now):
        verified(now - timedelta(hours=37))
        assert words(now)[2] == "Not verified lately"
        verified(now - timedelta(hours=36), found=2)
        assert words(now)[2] == "2 findings"
        verified(now, found=1)
        assert words(now)[2] == "1 finding"


class TestRecordDetail:
    def test_shows_how_whole_the_record_is(self, client, write, now):
        write(3, now)
        seal.seal(now=now)
        sign(now)
        found = page(client)
        assert "quartermaster/audit" in found
        assert "Checkpoint" in found
        assert "tampered" not in found
        assert "Not verified yet" in found

    def test_is_loud_where_something_is_wrong(self, client, write, now):
        says = "Entry 1 (Grant created, x) says something other than when it was sealed."
        findings = [{"kind": "changed", "sequence": 1, "says": says}]
        verified(now, found=120, findings=findings)
        found = page(client)
        assert "The record was tampered with." in found
        assert says in found
        assert "the first 1 of 120" in found

    def test_says_why_events_wait_and_nothing_is_anchored(self, client, write, now, monkeypatch):
        write(1, now)
        seal.seal(now=now)
        sign(now, anchored=False)
        checkpoints.say_problem("The anchor is away.")
        write(1, now)
        later = timezone.now() + timedelta(minutes=2)
        monkeypatch.setattr("apps.oversight.record.views.now", lambda: later)
        found = page(client)
        assert "Events wait for their seals." in found
        assert "The anchor is away." in found

    def test_asks_the_database_a_fixed_number_of_times(
        self, client, write, now, django_assert_max_num_queries
    ):
        for turn in range(4):
            write(2, now)
            seal.seal(now=now)
            sign(now)
            verified(now + timedelta(seconds=turn))
        with django_assert_max_num_queries(24):
            client.get("/audit/record/")

    @pytest.mark.parametrize("table", ["checkpoint", "verification"])
    def test_gives_its_tables_as_csv(self, client, write, now, table):
        write(1, now)
        seal.seal(now=now)
        sign(now)
        verified(now)
        answer = client.get("/audit/record/", {f"{table}-format": "csv"})
        assert len(b"".join(answer.streaming_content).decode().splitlines()) >= 2

    def test_is_led_to_from_the_audit_page_and_from_an_event(self, client, write, now):
        (event,) = write(1, now)
        assert "/audit/record/" in joined(client.get("/audit/").content)
        assert "none yet: it gets one within seconds" in joined(
            client.get(f"/audit/{event.pk}/").content
        )
        seal.seal(now=now)
        assert "Number 0, sealed" in joined(client.get(f"/audit/{event.pk}/").content)


class TestTakingAway:
    @pytest.fixture
    def sealed(self, write, now):
        """Two entries of two days ago, three of today; anchored."""
        events = write(2, now)
        seal.seal(now=now - timedelta(days=2))
        events += write(3, now)
        seal.seal(now=now)
        sign(now)
        return events

    def lines(self, client, **days):
        answer = client.get("/audit/record/part/", days)
        assert answer.status_code == 200
        return gzip.decompress(b"".join(answer.streaming_content)).decode().splitlines()

    def entries(self, client, **days):
        return [line for line in self.lines(client, **days) if line.startswith("{")]

    def test_gives_all_of_it_or_some_days(self, client, sealed, now):
        today, before = now.date(), now.date() - timedelta(days=2)
        assert len(self.entries(client)) == 5
        assert len(self.entries(client, since=today)) == 3
        assert len(self.entries(client, until=before)) == 2
        assert len(self.entries(client, since=before, until=today)) == 5
        assert "first 2" in self.lines(client, since=today)

    def test_refuses_days_that_cannot_be(self, client, sealed, now):
        for days, says in [
            ({"since": "tomorrow"}, "Enter a valid date."),
            ({"since": "2026-02-01", "until": "2026-01-01"}, "The last day is before the first."),
            ({"until": "2020-01-01"}, "Nothing that was sealed on these days is anchored yet."),
        ]:
            answer = client.get("/audit/record/part/", days)
            assert answer.status_code == 400
            assert says in joined(answer.content)

    def test_gives_keys_verifier_and_checkpoints(self, client, sealed):
        key = client.get("/audit/record/key/").content
        assert key == public_pem(keys_from_settings()[0])
        program = zipfile.ZipFile(io.BytesIO(client.get("/audit/record/verifier/").content))
        assert "verifier/verify.py" in program.namelist()
        assert b"def verify_part" in program.read("verifier/record.py")
        note = client.get("/audit/record/checkpoints/5/")
        assert note.content.decode() == Checkpoint.objects.get().note
        assert "checkpoint-5.txt" in note["Content-Disposition"]
        assert client.get("/audit/record/checkpoints/5/proof/").content.startswith(b"old 5\n")
        assert client.get("/audit/record/checkpoints/4/").status_code == 404

    def test_gives_the_proof_of_an_event(self, client, sealed, write, now):
        answer = client.get(f"/audit/{sealed[1].pk}/proof/")
        assert answer.content.startswith(b"c2sp.org/tlog-proof@v1\nextra ")
        (later,) = write(1, now)
        refused = client.get(f"/audit/{later.pk}/proof/")
        assert refused.status_code == 409
        assert "It gets one within seconds" in joined(refused.content)


class TestRecordVerify:
    def test_has_a_worker_read_the_record(self, client, auditor, enqueued):
        with enqueued() as sent:
            answer = client.post("/audit/record/verify/", follow=True)
        assert sent == [("audit.verify_record", {"whole": True})]
        assert "The record is being read again." in joined(answer.content)


def test_nothing_of_it_is_there_for_others(client, write, now):
    events = write(1, now)
    client.force_login(UserFactory(with_roles=[Role.FINANCE, Role.MODEL_OWNER, Role.REVIEWER]))
    for path in ("record/", "record/part/", "record/key/", f"{events[0].pk}/proof/"):
        assert client.get(f"/audit/{path}").status_code == 404
    assert client.post("/audit/record/verify/").status_code == 404
    assert (AuditEvent.objects.count(), AuditSeal.objects.count()) == (1, 0)
