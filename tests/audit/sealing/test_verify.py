"""Whoever owns the database can do what they like with it: each thing is found, and named."""

# ruff: noqa: S608 - statements as the owner would type them

from datetime import timedelta
from hashlib import sha256

import pytest
from django.core.management import CommandError, call_command

from apps.audit import merkle
from apps.audit.content import content_hash
from apps.audit.models import AuditEvent, AuditSeal, Checkpoint, Unsealed, Verification
from apps.audit.sealing import checkpoints, findings, seal
from apps.audit.sealing.checkpoints import Head, text_of
from apps.audit.sealing.verify import verify
from apps.common.signing import FileSigner, signed_note
from apps.integrations.errors import TemporaryError
from tests.audit.sealing.conftest import KEEP, ORIGIN
from tests.database import RECORD, owner_runs
from tests.factories import NOW

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=5)
TABLES = (*RECORD, "audit_unsealed")
UNBIND = """
DO $do$ DECLARE one record; BEGIN
    FOR one IN SELECT conrelid::regclass AS of, conname AS name FROM pg_constraint
        WHERE contype = 'f' AND confrelid = 'audit_auditevent'::regclass
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.of, one.name); END LOOP;
END $do$
"""


def superuser(sql):
    """Do what no trigger and no foreign key hinders."""
    off = [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in TABLES]
    on = [f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in TABLES]
    owner_runs("; ".join(["SET CONSTRAINTS ALL IMMEDIATE", UNBIND, *off, sql, *on]))


def rehash(first=0):
    """Do what a clever owner does: put every seal from `first` on in order again."""
    previous = bytes(AuditSeal.objects.get(sequence=first - 1).hash) if first else seal.FIRST
    for one in AuditSeal.objects.filter(sequence__gte=first).order_by("sequence"):
        leaf = content_hash(AuditEvent.objects.get(pk=one.event_id))
        digest = sha256(previous + leaf).digest()
        superuser(
            f"UPDATE audit_auditevent SET content_hash = '\\x{leaf.hex()}' "
            f"WHERE id = '{one.event_id}'; "
            f"UPDATE audit_auditseal SET leaf = '\\x{leaf.hex()}', previous = "
            f"'\\x{previous.hex()}', hash = '\\x{digest.hex()}' WHERE sequence = {one.sequence}"
        )
        previous = digest


def read(keeper, now=LATER, *, keys=None, whole=True):
    keys = keys or [keeper.signer.public_key]
    return verify(keeper.store, origin=ORIGIN, keys=keys, now=now, whole=whole)


def found(keeper, now=LATER, **options):
    done = read(keeper, now, **options)
    assert done.found == len(done.findings)
    return [(one["kind"], one["sequence"]) for one in done.findings]


@pytest.fixture
def events(write, keeper):
    """Six events in the record, anchored; two more that are sealed only."""
    events = write(6)
    keeper.turn(now=NOW)
    events += write(2)
    keeper.turn(now=NOW)
    return events


class TestTheTruth:
    def test_is_found_to_be_it(self, events, keeper, write):
        write(1)
        done = read(keeper)
        assert (done.size, done.anchored_size, done.found, done.findings) == (8, 6, 0, [])
        assert Verification.objects.get() == done
        assert done.verified_at == LATER

    def test_is_it_over_many_whole_nodes_too(self, write, keeper):
        write(merkle.WIDTH + 5)
        keeper.turn(now=NOW)
        assert found(keeper) == []

    def test_of_nothing_is_nothing(self, db, keeper):
        done = read(keeper, NOW)
        assert (done.size, done.anchored_size, done.found) == (0, 0, 0)

    def test_is_not_known_while_the_anchor_is_away(self, events, keeper, monkeypatch):
        def away(*_):
            raise TemporaryError("The anchor is away.")

        monkeypatch.setattr(keeper.store, "list_keys", away)
        with pytest.raises(TemporaryError):
            read(keeper)
        assert not Verification.objects.exists()

    def test_an_earlier_key_is_still_believed(self, events, keeper, signer):
        from cryptography.hazmat.primitives.asymmetric import ec

        keeper.signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))
        assert [kind for kind, _ in found(keeper)] == ["forged"]
        both = [keeper.signer.public_key, signer.public_key]
        assert found(keeper, keys=both) == []
        keeper.turn(now=LATER)
        assert found(keeper, LATER + timedelta(minutes=5), keys=both) == []


class TestRewriting:
    @pytest.mark.parametrize(
        "change",
        [
            "actor = 'mallory'",
            "actor_name = 'Mallory'",
            "action = 'grant.created'",
            "target_id = '0'",
            "target_type = 'Grant'",
            "target_label = 'another'",
            "data = '{\"number\": 7}'",
            "request_id = 'another'",
            "occurred_at = occurred_at - interval '1 second'",
            "recorded_at = recorded_at + interval '1 microsecond'",
        ],
    )
    def test_one_field_of_one_event_is_found(self, events, keeper, change):
        superuser(f"UPDATE audit_auditevent SET {change} WHERE id = '{events[3].pk}'")
        done = read(keeper)
        assert [(one["kind"], one["sequence"]) for one in done.findings] == [("changed", 3)]
        assert "Entry 3 (" in done.findings[0]["says"]
        assert "says something other than when it was sealed" in done.findings[0]["says"]

    def test_and_hashing_everything_anew_is_found_by_the_anchor(self, events, keeper):
        superuser(f"UPDATE audit_auditevent SET actor = 'mallory' WHERE id = '{events[3].pk}'")
        rehash()
        assert found(keeper) == [("rewritten", None)]

    def test_what_is_not_anchored_yet_can_be_rewritten_which_is_why_it_is_soon(
        self, events, keeper
    ):
        superuser(f"UPDATE audit_auditevent SET actor = 'mallory' WHERE id = '{events[7].pk}'")
        rehash(7)
        assert found(keeper) == []

    def test_the_database_s_own_checkpoints_too_is_found_by_the_anchor(
        self, events, keeper, signer
    ):
        superuser(f"UPDATE audit_auditevent SET actor = 'mallory' WHERE id = '{events[3].pk}'")
        rehash()
        head = Head(6, merkle.root(6, seal.hashes))
        note = signed_note(text_of(ORIGIN, head), name=ORIGIN, signer=signer)
        superuser(
            f"UPDATE audit_checkpoint SET root = '\\x{head.root.hex()}', note = $note${note}$note$"
        )
        assert found(keeper) == [("rewritten", None), ("checkpoint", None)]

    def test_a_back_dated_event_is_found(self, events, keeper, write):
        (late,) = write(1)
        superuser(
            "UPDATE audit_auditevent SET recorded_at = recorded_at - interval '1 day' "
            f"WHERE id = '{late.pk}'"
        )
        leaf = content_hash(AuditEvent.objects.get(pk=late.pk))
        superuser(
            f"UPDATE audit_auditevent SET content_hash = '\\x{leaf.hex()}' WHERE id = '{late.pk}'"
        )
        before = AuditEvent.objects.get(pk=events[-1].pk).recorded_at
        superuser(f"UPDATE audit_auditseal SET sealed_at = '{before.isoformat()}'")
        seal.seal(now=before)
        assert found(keeper) == [("back-dated", 8)]

    def test_a_kept_node_is_found(self, write, keeper):
        write(merkle.WIDTH)
        seal.seal(now=NOW)
        superuser(f"UPDATE audit_audittile SET hash = '\\x{'00' * 32}'")
        assert found(keeper) == [("tree", merkle.WIDTH - 1)]


class TestTakingAway:
    def test_an_event_is_found(self, events, keeper):
        superuser(f"DELETE FROM audit_auditevent WHERE id = '{events[3].pk}'")
        assert found(keeper) == [("removed", 3)]

    def test_an_event_and_its_seal_is_found(self, events, keeper):
        superuser(
            f"DELETE FROM audit_auditevent WHERE id = '{events[3].pk}'; "
            "DELETE FROM audit_auditseal WHERE sequence = 3"
        )
        done = read(keeper)
        assert done.findings[0]["says"] == "Entries 3 to 3 were taken away."
        assert [(one["kind"], one["sequence"]) for one in done.findings] == [
            ("removed", 3), ("cut", None),
        ]  # fmt: skip

    def test_and_closing_the_gap_is_found_by_the_anchor(self, events, keeper):
        superuser(
            f"DELETE FROM audit_auditevent WHERE id = '{events[3].pk}'; "
            "DELETE FROM audit_auditseal WHERE sequence = 3; "
            "UPDATE audit_auditseal SET sequence = sequence - 1 WHERE sequence > 3"
        )
        rehash()
        assert found(keeper) == [("rewritten", None)]

    def test_the_end_is_found_by_the_anchor(self, events, keeper):
        superuser(
            "DELETE FROM audit_auditevent WHERE id IN "
            "(SELECT event_id FROM audit_auditseal WHERE sequence > 3); "
            "DELETE FROM audit_auditseal WHERE sequence > 3; DELETE FROM audit_checkpoint"
        )
        assert found(keeper) == [("cut", None)]

    def test_the_seal_alone_is_found(self, events, keeper):
        superuser("DELETE FROM audit_auditseal WHERE sequence = 7")
        assert found(keeper) == [("outside", None)]

    def test_an_event_s_wait_for_its_seal_is_found(self, events, keeper, write):
        write(1)
        superuser("DELETE FROM audit_unsealed")
        assert not Unsealed.objects.exists()
        assert found(keeper) == [("outside", None)]


class TestReordering:
    def test_two_entries_is_found(self, events, keeper):
        one, other = events[2].pk, events[4].pk
        superuser(
            "UPDATE audit_auditseal SET event_id = gen_random_uuid() WHERE sequence = 2; "
            f"UPDATE audit_auditseal SET event_id = '{one}' WHERE sequence = 4; "
            f"UPDATE audit_auditseal SET event_id = '{other}' WHERE sequence = 2"
        )
        assert found(keeper) == [("changed", 2), ("changed", 4)]

    def test_two_seals_whole_is_found(self, events, keeper):
        superuser(
            "UPDATE audit_auditseal SET sequence = 99 WHERE sequence = 2; "
            "UPDATE audit_auditseal SET sequence = 2 WHERE sequence = 4; "
            "UPDATE audit_auditseal SET sequence = 4 WHERE sequence = 99"
        )
        kinds = found(keeper)
        assert ("chain", 2) in kinds
        assert ("rewritten", None) in kinds


class TestForking:
    def test_a_checkpoint_of_another_record_is_found(self, events, keeper, signer):
        fork = signed_note(text_of(ORIGIN, Head(4, b"f" * 32)), name=ORIGIN, signer=signer)
        key = checkpoints.key_of(4)
        keeper.store.put_new(key, fork.encode(), locked_until=NOW + KEEP)
        assert found(keeper) == [("rewritten", None)]

    def test_a_checkpoint_under_another_key_is_found(self, events, keeper):
        note = Checkpoint.objects.get().note
        key = checkpoints.key_of(5)
        keeper.store.put_new(key, note.encode(), locked_until=NOW + KEEP)
        assert found(keeper) == [("forged", None)]

    def test_a_checkpoint_that_somebody_else_signed_is_found(self, events, keeper):
        from cryptography.hazmat.primitives.asymmetric import ec

        other = FileSigner(ec.generate_private_key(ec.SECP256R1()))
        note = signed_note(text_of(ORIGIN, Head(4, b"f" * 32)), name=ORIGIN, signer=other)
        keeper.store.put_new(checkpoints.key_of(4), note.encode(), locked_until=NOW + KEEP)
        keeper.store.put_new(f"{checkpoints.PREFIX}junk", b"\xff", locked_until=NOW + KEEP)
        assert found(keeper) == [("forged", None), ("forged", None)]

    def test_a_checkpoint_that_says_it_is_anchored_is_found(self, events, keeper):
        Checkpoint.objects.create(size=8, root=b"x" * 32, note="x", signed_at=NOW, anchored_at=NOW)
        assert found(keeper) == [("checkpoint", None)]


class TestByNight:
    """Three checkpoints, of 4, 8 and 12 entries, and a first reading that found nothing."""

    @pytest.fixture
    def before(self, write, keeper):
        events = []
        for turn in range(3):
            events += write(4)
            keeper.turn(now=NOW + turn * timedelta(minutes=5))
        assert found(keeper, self.night(0)) == []
        return events

    @staticmethod
    def night(number):
        return LATER + timedelta(days=number)

    def spans(self, keeper, number, wrong=()):
        """Read as on a night; return what was read."""
        done = read(keeper, self.night(number), whole=False)
        assert [(one["kind"], one["sequence"]) for one in done.findings] == list(wrong)
        return done.first, done.again_first, done.again_end

    def test_reads_what_came_and_some_of_what_is_older(self, before, write, keeper, signer):
        write(3)
        keeper.turn(now=NOW + timedelta(hours=1))
        write(1)
        keeper.turn(now=NOW + timedelta(hours=1))
        asked, read_small = [], keeper.store.read_small
        keeper.store.read_small = lambda key, **limit: asked.append(key) or read_small(key, **limit)
        done = read(keeper, self.night(1), whole=False)
        assert (done.first, done.again_first, done.again_end) == (12, 0, 4)
        assert (done.size, done.anchored_size, done.found) == (16, 15, 0)
        assert set(asked) == {checkpoints.key_of(size) for size in (4, 12, 15)}
        assert self.spans(keeper, 2) == (15, 4, 8)
        assert self.spans(keeper, 3) == (15, 8, 12)
        assert self.spans(keeper, 4) == (15, 12, 15)
        assert self.spans(keeper, 5) == (15, 0, 4)

    def test_finds_what_was_done_to_what_is_new_at_once(self, before, write, keeper):
        events = write(2)
        keeper.turn(now=NOW + timedelta(hours=1))
        superuser(f"UPDATE audit_auditevent SET actor = 'mallory' WHERE id = '{events[1].pk}'")
        assert self.spans(keeper, 1, [("changed", 13)]) == (12, 0, 4)

    def test_finds_what_was_done_to_the_rest_when_it_comes_to_it_and_does_not_forget_it(
        self, before, keeper
    ):
        superuser(f"UPDATE audit_auditevent SET actor = 'mallory' WHERE id = '{before[5].pk}'")
        assert self.spans(keeper, 1) == (12, 0, 4)
        assert self.spans(keeper, 2, [("changed", 5)]) == (12, 4, 8)
        assert self.spans(keeper, 3, [("changed", 5)]) == (0, 0, 0)
        superuser(f"UPDATE audit_auditevent SET actor = 'system:tests' WHERE id = '{before[5].pk}'")
        assert self.spans(keeper, 4) == (0, 0, 0)
        assert self.spans(keeper, 5) == (12, 0, 4)

    def test_reads_all_where_it_does_not_begin_with_what_was_signed(self, before, keeper):
        superuser(f"UPDATE audit_auditevent SET actor = 'mallory' WHERE id = '{before[9].pk}'")
        rehash()
        wrong = [("rewritten", None)]
        assert self.spans(keeper, 1, wrong) == (0, 0, 0)
        assert self.spans(keeper, 2, wrong) == (0, 0, 0)

    def test_reads_all_where_leaves_are_missing_before_its_beginning(self, before, keeper):
        superuser("DELETE FROM audit_auditseal WHERE sequence = 11")
        wrong = [("cut", None), ("outside", None)]
        assert self.spans(keeper, 1, wrong) == (0, 0, 0)

    def test_reads_all_where_the_checkpoint_before_it_is_gone(self, before, keeper):
        keeper.store._s3.delete_object(
            Bucket=keeper.store.bucket, Key=checkpoints.key_of(12), BypassGovernanceRetention=False
        )
        assert self.spans(keeper, 1, [("checkpoint", None)]) == (0, 0, 0)

    def test_finds_a_fork_when_it_comes_to_it_and_what_is_no_checkpoint_at_once(
        self, before, keeper, signer
    ):
        fork = signed_note(text_of(ORIGIN, Head(6, b"f" * 32)), name=ORIGIN, signer=signer)
        keeper.store.put_new(checkpoints.key_of(6), fork.encode(), locked_until=NOW + KEEP)
        keeper.store.put_new(f"{checkpoints.PREFIX}7", b"x", locked_until=NOW + KEEP)
        assert self.spans(keeper, 1, [("forged", None)]) == (12, 0, 4)
        assert self.spans(keeper, 2, [("forged", None), ("rewritten", None)]) == (0, 0, 0)

    def test_finds_an_end_that_was_taken_away(self, before, keeper):
        superuser(
            "DELETE FROM audit_auditevent WHERE id IN "
            "(SELECT event_id FROM audit_auditseal WHERE sequence > 7); "
            "DELETE FROM audit_auditseal WHERE sequence > 7; DELETE FROM audit_checkpoint"
        )
        assert self.spans(keeper, 1, [("cut", None)]) == (0, 0, 0)


class TestMuchThatIsWrong:
    def test_is_counted_and_the_first_of_it_named(self, write, keeper, monkeypatch):
        monkeypatch.setattr(findings, "KEPT", 3)
        write(5)
        seal.seal(now=NOW)
        superuser("UPDATE audit_auditevent SET actor = 'mallory'")
        done = read(keeper)
        assert (done.found, len(done.findings)) == (5, 3)


class TestCommand:
    @pytest.fixture
    def keeper_from_settings(self, keeper, monkeypatch):
        keys = [keeper.signer.public_key]
        monkeypatch.setattr("apps.audit.sealing.verify.anchor_from_settings", lambda: keeper.store)
        monkeypatch.setattr("apps.audit.sealing.verify.keys_from_settings", lambda: keys)
        monkeypatch.setattr("django.conf.settings.AUDIT_ORIGIN", ORIGIN)

    def test_says_that_all_is_well(self, events, keeper_from_settings, capsys):
        call_command("verify_record")
        assert capsys.readouterr().out == (
            "8 entries are what was sealed; the first 6 of them are anchored.\n"
        )

    def test_names_what_is_not(self, events, keeper_from_settings, capsys):
        superuser(f"UPDATE audit_auditevent SET actor = 'mallory' WHERE id = '{events[3].pk}'")
        with pytest.raises(CommandError, match="1 findings in 8 entries"):
            call_command("verify_record")
        assert "changed: Entry 3 (" in capsys.readouterr().err
