"""What is signed continues what was signed, and lies in S3 where nobody can change it."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from apps.audit import merkle
from apps.audit.models import AuditSeal, Checkpoint
from apps.audit.sealing import checkpoints, seal
from apps.audit.sealing.checkpoints import Head, Rewritten, read, text_of
from apps.common.signing import BadNote, signed_note
from apps.integrations.errors import PermanentError, TemporaryError
from tests.audit.sealing.conftest import KEEP, ORIGIN
from tests.database import as_owner, unguarded
from tests.factories import NOW

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=5)


def anchored(store):
    return checkpoints.notes(store, checkpoints.anchored_keys(store))


def sign(signer, now=NOW):
    return checkpoints.sign(origin=ORIGIN, signer=signer, now=now)


class TestRead:
    def test_gives_back_what_was_signed(self, signer):
        head = Head(12, b"r" * 32)
        note = signed_note(text_of(ORIGIN, head), name=ORIGIN, signer=signer)
        assert note.startswith("portal.example/audit\n12\ncnJy")
        assert read(note, origin=ORIGIN, keys=[signer.public_key]) == head

    @pytest.mark.parametrize(
        "text",
        [
            "else.example\n1\ncnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=\n",
            f"{ORIGIN}\n1\n",
            f"{ORIGIN}\n1\nshort===\n",
            f"{ORIGIN}\n1\nc2hvcnQ=\n",
            f"{ORIGIN}\n-1\ncnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=\n",
            f"{ORIGIN}\n01\ncnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=\n",
            f"{ORIGIN}\nmany\ncnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=\n",
            f"{ORIGIN}\n1\ncnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=\nmore\n",
        ],
    )
    def test_refuses_what_is_no_checkpoint_of_this_record(self, signer, text):
        note = signed_note(text, name=ORIGIN, signer=signer)
        with pytest.raises(BadNote, match="no checkpoint"):
            read(note, origin=ORIGIN, keys=[signer.public_key])


class TestSign:
    def test_signs_the_root_of_what_is_sealed_once(self, write, signer):
        assert sign(signer) is None
        write(3)
        seal.seal(now=NOW)
        write(1)
        done = sign(signer)
        leaves = [bytes(leaf) for leaf in AuditSeal.objects.values_list("leaf", flat=True)]
        head = Head(3, merkle.node_hash(merkle.node_hash(*leaves[:2]), leaves[2]))
        assert (done.size, bytes(done.root), done.signed_at, done.anchored_at) == (
            3, head.root, NOW, None,
        )  # fmt: skip
        assert read(done.note, origin=ORIGIN, keys=[signer.public_key]) == head
        assert sign(signer, LATER) is None
        seal.seal(now=LATER)
        assert sign(signer, LATER).size == 4
        assert [one.size for one in Checkpoint.objects.all()] == [4, 3]

    def test_signs_nothing_that_does_not_continue_what_was_signed(self, write, signer):
        write(3)
        seal.seal(now=NOW)
        sign(signer)
        write(1)
        seal.seal(now=NOW)
        with unguarded():
            AuditSeal.objects.filter(sequence=1).update(leaf=b"x" * 32)
        with pytest.raises(Rewritten, match="first 3 entries are no longer those"):
            sign(signer, LATER)
        assert Checkpoint.objects.count() == 1

    def test_signs_nothing_shorter_than_what_was_signed(self, write, signer, monkeypatch):
        write(3)
        seal.seal(now=NOW)
        sign(signer)
        monkeypatch.setattr(seal, "size", lambda: 2)
        with pytest.raises(Rewritten, match="2 entries, but 3 were signed"):
            sign(signer, LATER)

    def test_is_due_now_and_then(self, write, signer):
        every = timedelta(minutes=5)
        assert checkpoints.is_due(every=every, now=NOW)
        write(1)
        seal.seal(now=NOW)
        sign(signer)
        assert not checkpoints.is_due(every=every, now=LATER - timedelta(seconds=1))
        assert checkpoints.is_due(every=every, now=LATER)


class TestAnchorWaiting:
    def test_puts_each_into_s3_once_locked(self, write, keeper, signer):
        for at in (NOW, LATER):
            write(2)
            seal.seal(now=at)
            sign(signer, at)
        anchor = {"keep": KEEP, "now": LATER}
        assert checkpoints.anchor_waiting(keeper.store, **anchor) == 2
        assert checkpoints.anchor_waiting(keeper.store, **anchor) == 0
        notes = list(Checkpoint.objects.order_by("size").values_list("note", flat=True))
        assert list(anchored(keeper.store)) == [
            ("checkpoints/00000000000000000002", notes[0]),
            ("checkpoints/00000000000000000004", notes[1]),
        ]
        stored = keeper.store.head("checkpoints/00000000000000000002")
        assert stored.locked_until == LATER + KEEP
        assert {one.anchored_at for one in Checkpoint.objects.all()} == {LATER}

    def test_finds_its_own_again_after_it_died_in_between(self, write, keeper, signer):
        write(2)
        seal.seal(now=NOW)
        done = sign(signer)
        until = NOW + KEEP
        again = signed_note(done.note.partition("\n\n")[0] + "\n", name=ORIGIN, signer=signer)
        assert again != done.note
        keeper.store.put_new(checkpoints.key_of(2), again.encode(), locked_until=until)
        assert checkpoints.anchor_waiting(keeper.store, keep=KEEP, now=LATER) == 1

    def test_stops_where_another_record_was_anchored(self, write, keeper, signer):
        write(2)
        seal.seal(now=NOW)
        sign(signer)
        fork = signed_note(text_of(ORIGIN, Head(2, b"f" * 32)), name=ORIGIN, signer=signer)
        until = NOW + KEEP
        keeper.store.put_new(checkpoints.key_of(2), fork.encode(), locked_until=until)
        with pytest.raises(Rewritten, match="forked"):
            checkpoints.anchor_waiting(keeper.store, keep=KEEP, now=LATER)
        assert Checkpoint.objects.get().anchored_at is None


class TestTurn:
    def test_seals_signs_and_anchors(self, write, keeper):
        write(3)
        assert keeper.turn(now=NOW) == 3
        done = Checkpoint.objects.get()
        assert (done.size, done.anchored_at) == (3, NOW)
        write(1)
        assert keeper.turn(now=NOW + timedelta(minutes=1)) == 1
        assert Checkpoint.objects.count() == 1
        assert keeper.turn(now=LATER) == 0
        assert Checkpoint.objects.filter(size=4, anchored_at=LATER).exists()

    @pytest.mark.parametrize("error", [TemporaryError, PermanentError])
    def test_says_why_nothing_is_anchored_and_goes_on_sealing(
        self, write, keeper, monkeypatch, error
    ):
        def away(*_, **__):
            raise error("The anchor is away.")

        write(1)
        with monkeypatch.context() as patch:
            patch.setattr(keeper.store, "put_new", away)
            assert keeper.turn(now=NOW) == 1
            write(1)
            assert keeper.turn(now=NOW) == 1
        waiting = Checkpoint.objects.get()
        assert (waiting.anchored_at, waiting.problem) == (None, "The anchor is away.")
        keeper.turn(now=LATER)
        assert set(Checkpoint.objects.values_list("size", "problem")) == {(1, ""), (2, "")}

    def test_has_a_rewritten_record_verified_once(self, write, keeper, enqueued):
        write(2)
        keeper.turn(now=NOW)
        with unguarded():
            AuditSeal.objects.filter(sequence=1).update(leaf=b"x" * 32)
        write(1)
        with enqueued() as sent:
            keeper.turn(now=LATER)
            keeper.turn(now=LATER)
        assert sent == [("audit.verify_record", {"whole": True})]
        assert Checkpoint.objects.count() == 1


class TestGuards:
    def test_a_signed_checkpoint_never_changes(self, write, signer):
        write(1)
        seal.seal(now=NOW)
        sign(signer)
        Checkpoint.objects.update(problem="S3 is away.")
        Checkpoint.objects.update(anchored_at=LATER, problem="")
        changes = [
            lambda: Checkpoint.objects.update(root=b"x" * 32),
            lambda: Checkpoint.objects.update(note="x"),
            lambda: Checkpoint.objects.update(anchored_at=None),
            lambda: Checkpoint.objects.all().delete(),
        ]
        for change in changes:
            with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
                change()
