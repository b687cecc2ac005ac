"""What an auditor takes away, verified by the program that knows nothing of the portal."""

import gzip
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from apps.audit.actions import System, record
from apps.audit.models import Action, Checkpoint
from apps.audit.sealing import export, seal
from apps.audit.sealing.export import NotAnchored
from apps.common.signing import FileSigner, public_pem
from tests.audit.offline import PROGRAM, VERIFIER
from tests.audit.sealing.conftest import ORIGIN
from tests.factories import NOW, TeamFactory

pytestmark = pytest.mark.django_db
STEP = timedelta(minutes=5)


@pytest.fixture
def key(tmp_path, signer):
    path = tmp_path / "key.pem"
    path.write_bytes(public_pem(signer.public_key))
    return str(path)


@pytest.fixture
def sealed(write, keeper):
    """Checkpoints of 3, 10 and 12 entries, and two entries that no checkpoint stands over yet."""
    for turn, count in enumerate((3, 7, 2)):
        write(count)
        keeper.turn(now=NOW + turn * STEP)
    events = write(2)
    seal.seal(now=NOW + 2 * STEP)
    return events


@pytest.fixture
def say(key, tmp_path, capsys):
    """Run the verifier on a text; return (its end, what it said)."""

    def say(text, *checkpoints, with_key=key):
        path = tmp_path / "file"
        path.write_text(text, "utf-8")
        kept = []
        for number, note in enumerate(checkpoints):
            kept += ["--checkpoint", str(tmp_path / f"kept-{number}.txt")]
            Path(kept[-1]).write_text(note, "utf-8")
        end = VERIFIER.main([str(path), "--key", with_key, *kept])
        return end, capsys.readouterr().out

    return say


def part(first=0, end=12):
    return "".join(export.part(first, end, origin=ORIGIN))


def note_of(size):
    return Checkpoint.objects.get(size=size).note


class TestPart:
    @pytest.mark.parametrize(
        ("first", "end", "passed"),
        [(0, 12, 3), (0, 3, 1), (0, 2, 1), (2, 11, 3), (4, 5, 1), (11, 12, 1)],
    )
    def test_is_verified_from_anywhere_to_anywhere(self, sealed, say, first, end, passed):
        assert say(part(first, end)) == (
            0,
            f"{end - first} entries of {ORIGIN}, numbers {first} to {end - 1}, are what was "
            f"signed; {passed} checkpoints passed.\n",
        )

    def test_reads_entries_as_they_were_written(self, sealed, say):
        lines = part(2, 4).splitlines()
        assert lines[:3] == [export.HEAD, f"origin {ORIGIN}", "first 2"]
        entries = [line for line in lines if line.startswith("{")]
        assert len(entries) == 2
        assert entries[0].startswith('{"action":"team.cost_center_assigned","actor":"system:tests"')

    def test_runs_through_the_caller_s_own_checkpoints(self, sealed, say):
        assert say(part(), note_of(3), note_of(12))[0] == 0
        end, said = say(part(4, 12), note_of(3))
        assert (end, said.endswith("1 of your checkpoints lie before it.\n")) == (0, True)
        end, said = say(part(0, 3), note_of(10))
        assert (end, "its end is missing" in said) == (1, True)

    def test_says_from_where_on_nothing_was_signed(self, sealed, say):
        end, said = say(part(0, 14))
        assert end == 1
        assert "14 entries (0 to 13), but nothing that was signed" in said
        assert "stands over those from 12 on" in said

    @pytest.mark.parametrize(
        ("tamper", "words"),
        [
            (lambda lines: lines[:5] + lines[6:], "changed, added, left out or moved"),
            (lambda lines: [*lines[:4], lines[4], *lines[4:]], "changed, added, left out"),
            (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "left out or moved"),
            (lambda lines: [line.replace('"number":1', '"number":9') for line in lines], "changed"),
            (lambda lines: lines[:-1], "nothing that was signed stands over"),
            (lambda lines: [line.replace(ORIGIN, "else.example") for line in lines], "in a part"),
        ],
    )
    def test_names_what_somebody_did_to_it(self, sealed, say, tamper, words):
        end, said = say("\n".join(tamper(part().splitlines())) + "\n")
        assert (end, said.startswith("WRONG: ")) == (1, True)
        assert words in said

    def test_is_not_believed_by_another_key(self, sealed, say, tmp_path):
        other = FileSigner(ec.generate_private_key(ec.SECP256R1()))
        path = tmp_path / "other.pem"
        path.write_bytes(public_pem(other.public_key))
        end, said = say(part(), with_key=str(path))
        assert (end, "None of your keys signed" in said) == (1, True)

    @pytest.mark.parametrize(
        "text",
        ["", "something else\n", f"{export.HEAD}\nwhat 1\n", f"{export.HEAD}\nfirst one\n",
         f"{export.HEAD}\nfirst 3\nleaf !\n", f"{export.HEAD}\norigin x\nfirst 0\n"],
    )  # fmt: skip
    def test_that_is_none_is_not_taken_for_one(self, say, text):
        assert say(text)[0] == 2

    def test_may_be_packed_and_needs_nothing_of_the_portal(self, sealed, key, tmp_path):
        path = tmp_path / "part.qmr.gz"
        path.write_bytes(gzip.compress(part().encode()))
        done = subprocess.run(
            [sys.executable, "-I", str(PROGRAM), str(path), "--key", key],
            capture_output=True, text=True, cwd=tmp_path, env={},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("12 entries of portal.example/audit")


class TestNumbers:
    def test_are_those_that_were_sealed_in_between(self, sealed):
        at = [NOW + turn * STEP for turn in range(3)]
        assert export.numbers(None, None) == (0, 12)
        assert export.numbers(at[1], None) == (3, 12)
        assert export.numbers(at[1], at[2]) == (3, 10)
        assert export.numbers(None, at[1]) == (0, 3)
        assert export.numbers(at[2] + STEP, None) == (12, 12)

    def test_end_where_nothing_is_anchored_yet(self, write):
        write(2)
        seal.seal(now=NOW)
        assert export.numbers(None, None) == (0, 0)


class TestProofOf:
    def test_leads_from_an_event_to_a_signed_root(self, sealed, say):
        for number in (0, 4, 11):
            event = seal.AuditSeal.objects.get(sequence=number).event
            end, said = say(export.proof_of(event))
            assert end == 0
            assert said.startswith(f"Entry {number} of {ORIGIN} is what was signed (checkpoint of ")
            assert str(event.pk) in said

    def test_of_another_event_leads_nowhere(self, sealed, say):
        one, other = (seal.AuditSeal.objects.get(sequence=n).event for n in (4, 5))
        lines = export.proof_of(one).splitlines()
        lines[1] = export.proof_of(other).splitlines()[1]
        end, said = say("\n".join(lines) + "\n")
        assert (end, "does not lead from this event" in said) == (1, True)

    def test_is_not_there_before_it_is_anchored(self, sealed, registered_model):
        with pytest.raises(NotAnchored, match="No checkpoint"):
            export.proof_of(sealed[0])
        event = record(
            action=Action.MODEL_REGISTERED, actor=System("x"), target=registered_model, now=NOW
        )
        with pytest.raises(NotAnchored, match="no place in the record yet"):
            export.proof_of(event)


class TestConsistency:
    @pytest.mark.parametrize("size", [3, 10, 12])
    def test_shows_that_the_record_continues(self, sealed, say, size):
        text = export.consistency(Checkpoint.objects.get(size=size))
        assert say(text, note_of(size)) == (
            0, f"The record of 12 entries continues yours of {size}.\n",
        )  # fmt: skip

    def test_does_not_where_it_was_forked(self, sealed, say, keeper):
        from apps.audit.sealing.checkpoints import Head, text_of
        from apps.common.signing import signed_note

        text = export.consistency(Checkpoint.objects.get(size=10))
        fork = signed_note(text_of(ORIGIN, Head(10, b"f" * 32)), name=ORIGIN, signer=keeper.signer)
        end, said = say(text, fork)
        assert (end, "does not continue yours of 10" in said) == (1, True)
        assert say(text, note_of(3))[0] == 2

    def test_is_not_there_before_anything_is_anchored(self, write, keeper):
        TeamFactory()
        write(1)
        seal.seal(now=NOW)
        waiting = Checkpoint.objects.create(size=1, root=b"x" * 32, note="x", signed_at=NOW)
        with pytest.raises(NotAnchored):
            export.consistency(waiting)
