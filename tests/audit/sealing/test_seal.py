"""Every event gets one place, in order, whoever seals and however often."""

from hashlib import sha256
from threading import Barrier, Thread

import pytest
from django.db import IntegrityError, connection, transaction

from apps.audit import merkle
from apps.audit.content import content_hash
from apps.audit.models import AuditEvent, AuditSeal, AuditTile, Unsealed
from apps.audit.sealing import seal
from tests.database import as_owner
from tests.factories import NOW


@pytest.mark.django_db
class TestSeal:
    def test_gives_every_event_its_place_after_those_before(self, write):
        events = write(3)
        assert Unsealed.objects.count() == 3
        assert seal.seal(now=NOW) == 3
        more = write(2)
        assert (seal.seal(now=NOW), seal.seal(now=NOW)) == (2, 0)
        seals = list(AuditSeal.objects.all())
        assert [one.sequence for one in seals] == [0, 1, 2, 3, 4]
        assert [one.event_id for one in seals] == [event.pk for event in [*events, *more]]
        previous = bytes(32)
        for one, event in zip(seals, [*events, *more], strict=True):
            assert bytes(one.leaf) == content_hash(event)
            assert bytes(one.previous) == previous
            assert bytes(one.hash) == sha256(previous + bytes(one.leaf)).digest()
            assert one.sealed_at == NOW
            previous = bytes(one.hash)
        assert not Unsealed.objects.exists()
        assert seal.size() == 5

    def test_takes_no_more_than_it_is_told(self, write):
        write(5)
        assert [seal.seal(now=NOW, at_once=2) for _ in range(4)] == [2, 2, 1, 0]
        assert seal.size() == 5

    def test_reads_an_event_as_it_was_written(self, write):
        (event,) = write()
        read = AuditEvent.objects.get(pk=event.pk)
        assert content_hash(read) == bytes(read.content_hash) == event.content_hash

    def test_keeps_the_nodes_of_the_tree_that_became_whole(self, write):
        write(merkle.WIDTH + 3)
        seal.seal(now=NOW, at_once=100)
        assert not AuditTile.objects.exists()
        seal.seal_all(now=NOW)
        leaves = [bytes(leaf) for leaf in AuditSeal.objects.values_list("leaf", flat=True)]
        (node,) = AuditTile.objects.all()
        assert (node.level, node.index) == (1, 0)
        assert bytes(node.hash) == merkle.fold(leaves[: merkle.WIDTH])
        tree = merkle.Frontier()
        for leaf in leaves:
            tree.append(leaf)
        assert merkle.root(len(leaves), seal.hashes) == tree.root()

    def test_says_where_the_database_lacks_what_it_should_have(self, write):
        write(3)
        seal.seal(now=NOW)
        with pytest.raises(LookupError, match="below number 4"):
            seal.hashes(0, 0, 4)


class TestTwoSealers:
    def test_wait_for_each_other(self, committed, write):
        write(40)
        both, done = Barrier(2), []

        def one():
            try:
                both.wait(10)
                done.append(sum(seal.seal(now=NOW, at_once=5) for _ in range(8)))
            finally:
                connection.close()

        threads = [Thread(target=one) for _ in range(2)]
        [thread.start() for thread in threads]
        [thread.join(60) for thread in threads]
        assert sum(done) == 40
        assert list(AuditSeal.objects.values_list("sequence", flat=True)) == list(range(40))

    def test_an_event_that_is_committed_late_comes_later(self, committed, write):
        """Whoever writes waits for no sealer, and the sealer for nobody who writes."""
        sealed = []

        def meanwhile():
            try:
                sealed.append(seal.seal(now=NOW))
            finally:
                connection.close()

        with transaction.atomic():
            (late,) = write()
            thread = Thread(target=meanwhile)
            thread.start()
            thread.join(30)
        (early,) = write()
        assert sealed == [0]
        assert seal.seal(now=NOW) == 2
        assert set(AuditSeal.objects.values_list("event_id", flat=True)) == {late.pk, early.pk}


@pytest.mark.django_db
class TestGuards:
    def refused(self, words):
        return pytest.raises(IntegrityError, match=words)

    def test_nobody_changes_or_takes_away_a_seal(self, write):
        write(2)
        seal.seal(now=NOW)
        for change in (
            lambda: AuditSeal.objects.update(sealed_at=NOW),
            lambda: AuditSeal.objects.filter(sequence=1).delete(),
        ):
            with as_owner(), self.refused("they never change"), transaction.atomic():
                change()
        assert seal.size() == 2

    @pytest.mark.parametrize(
        "change",
        [
            {"leaf": b"x" * 32},
            {"previous": b"x" * 32},
            {"hash": b"x" * 32},
            {"sequence": 7},
        ],
    )
    def test_a_seal_that_does_not_continue_the_record_is_refused(self, write, change):
        write(1)
        seal.seal(now=NOW)
        (event,) = write(1)
        before = bytes(AuditSeal.objects.get().hash)
        facts = {"sequence": 1, "leaf": event.content_hash, "previous": before} | change
        facts.setdefault("hash", sha256(facts["previous"] + facts["leaf"]).digest())
        with self.refused("does not continue the record"), transaction.atomic():
            AuditSeal.objects.create(event=event, sealed_at=NOW, **facts)

    def test_an_event_waits_until_it_is_sealed(self, write):
        write(1)
        with self.refused("waits for its seal"), transaction.atomic():
            Unsealed.objects.all().delete()
        assert Unsealed.objects.count() == 1
