"""A receipt, as an auditor checks it offline: by the event of the record that names it."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from apps.audit.models import AuditEvent, Checkpoint
from apps.audit.sealing import checkpoints, export, seal
from apps.common.canonical import canonical
from apps.common.signing import FileSigner, public_pem
from apps.prompts.erasures.actions import approve_erasure, ask_erasure
from tests.audit.offline import VERIFIER
from tests.factories import NOW
from tests.prompts.samples import member, stored

pytestmark = pytest.mark.django_db
ORIGIN = "portal.example/audit"


def erase(ada, carol, name):
    erasure = ask_erasure(
        kind="MEMBER", name=name, justification="The member asked.", requester=ada, now=NOW
    )
    return approve_erasure(erasure=erasure, approver=carol, reason="Lawful — § 17.", now=NOW)


@pytest.fixture
def erased(ada, carol):
    """Two erasures, sealed under a checkpoint that counts as anchored; and the record's key."""
    stored(member())
    found = [erase(ada, carol, name) for name in ("M-100-42", "M-2")]
    seal.seal_all(now=NOW)
    signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    checkpoints.sign(origin=ORIGIN, signer=signer, now=NOW)
    Checkpoint.objects.update(anchored_at=NOW)
    return [*found, signer]


@pytest.fixture
def say(tmp_path, capsys):
    """Run the verifier on a receipt and the proof of an erasure's event."""

    def say(receipt, erasure, signer):
        paths = {name: tmp_path / name for name in ("erasure.json", "event.tlog-proof", "key.pem")}
        paths["erasure.json"].write_bytes(receipt)
        event = AuditEvent.objects.get(action="erasure.done", target_id=str(erasure.pk))
        paths["event.tlog-proof"].write_text(export.proof_of(event))
        paths["key.pem"].write_bytes(public_pem(signer.public_key))
        end = VERIFIER.main(
            [str(paths["erasure.json"]), "--key", str(paths["key.pem"]), "--proof",
             str(paths["event.tlog-proof"])]
        )  # fmt: skip
        return end, capsys.readouterr().out

    return say


def test_is_what_the_record_names_and_says_what_is_left(erased, say):
    one, _, signer = erased
    end, said = say(canonical(one.receipt), one, signer)
    assert end == 0
    assert "names this receipt" in said and "calls that nobody reads any more: 1" in said
    assert "wrapped keys in backups until: unknown" in said
    assert "Proven is that the record names this very receipt" in said


def test_is_wrong_where_it_says_something_twice(erased, say):
    one, _, signer = erased
    twice = canonical(one.receipt).replace(b'"records":{', b'"records":{"unreadable":9,', 1)
    end, said = say(twice, one, signer)
    assert (end, "stands twice" in said) == (1, True)


def test_is_wrong_where_a_word_or_the_event_is_anothers(erased, say):
    one, other, signer = erased
    fewer = json.loads(canonical(one.receipt))
    fewer["records"]["unreadable"] = 0
    for receipt, erasure, words in (
        (canonical(fewer), one, "not what the record names"),
        (canonical(one.receipt), other, "another event"),
    ):
        end, said = say(receipt, erasure, signer)
        assert (end, words in said) == (1, True)


def test_is_wrong_under_another_key(erased, say):
    one, _, _ = erased
    end, _ = say(canonical(one.receipt), one, FileSigner(ec.generate_private_key(ec.SECP256R1())))
    assert end != 0


def test_wants_the_proof(erased, tmp_path, capsys):
    path, key = tmp_path / "erasure.json", tmp_path / "key.pem"
    path.write_bytes(canonical(erased[0].receipt))
    key.write_bytes(public_pem(erased[2].public_key))
    assert VERIFIER.main([str(path), "--key", str(key)]) == 2
    assert "--proof" in capsys.readouterr().out
