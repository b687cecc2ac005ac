"""What the offline verifier makes of a pack that somebody forged as a whole."""

import gzip
import hashlib
import json
import zipfile

import pytest

from tests.audit.offline import PACK, RECORD, VERIFIER

SUBJECT = {"kind": "PROMOTION", "id": "1", "label": "claims v2"}
CLAIMED = (
    "README.md", "verifier/verify.py", "decisions/01-APPROVE/decision.json", "x/README.md",
)  # fmt: skip


def forged(path, ours=CLAIMED, compress=zipfile.ZIP_DEFLATED, **more):
    """Write a zip whose index is well formed, and proves nothing."""
    files = {"proposal.json": b"{}", **dict.fromkeys(CLAIMED, b"{}"), **more}
    index = {
        "format": PACK.FORMAT, "subject": SUBJECT, "checkpoint": 1, "ours": ours,
        "files": [
            {"path": name, "sha256": hashlib.sha256(raw).hexdigest()} for name, raw in files.items()
        ],
        "events": [], "parts": [], "proven": [], "commits": [], "models": [], "missing": [],
    }  # fmt: skip
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, raw in (files | {"contents.json": json.dumps(index).encode()}).items():
            archive.writestr(name, raw)
    return path


def test_names_what_the_pack_calls_its_own_and_is_not(tmp_path):
    said = PACK.verify_pack(PACK.open_pack(forged(tmp_path / "pack.zip")), [], [], [])
    assert "3 files are told by the portal, and proven by nothing here" in said
    told = said.split("proven by nothing here:")[1].split()
    assert told == ["decisions/01-APPROVE/decision.json", "proposal.json", "x/README.md"]


def test_reads_no_zip_that_would_grow_without_bounds(tmp_path):
    path = forged(tmp_path / "pack.zip", **{"record/part.qmr": bytes(5_000_000)})
    with pytest.raises(PACK.Unreadable, match="no pack does that"):
        PACK.open_pack(path)


DIGEST = "sha256:" + hashlib.sha256(b"policy").hexdigest()


@pytest.mark.parametrize(
    ("listing", "is_named"),
    [
        ({"rule": {"policy": f"3 ({DIGEST})"}}, True),
        ([["2026-10-CC", DIGEST]], True),
        ({DIGEST: "a field of that name"}, False),
        ({"rule": {"policy": f"{DIGEST}0"}}, False),
        ({"rule": {"policy": f"x{DIGEST}"}}, False),
        ({"rule": {"policy": DIGEST.removeprefix("sha256:")}}, False),
    ],
)
def test_takes_for_listed_only_whole_digests_that_a_listing_names(listing, is_named):
    raw = json.dumps(listing).encode()
    pack = PACK.Pack({"policy.json": lambda: b"policy", "binding.json": lambda: raw})
    held, claim = PACK.Held(), {"path": "policy.json", "as": "sha256", "listed_in": "binding.json"}
    held.proven.add("binding.json")
    if is_named:
        PACK._check_claim(pack, claim, {}, held)
        assert "policy.json" in held.proven
        return
    with pytest.raises(PACK.Wrong, match="is not one that binding.json names"):
        PACK._check_claim(pack, claim, {}, held)


def test_reads_no_line_without_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(RECORD, "LONGEST_LINE", 10)
    path = tmp_path / "part.qmr"
    path.write_bytes(b"0123456789\nshort\n")
    with pytest.raises(RECORD.Unreadable, match="Line 1 is longer than 10 bytes"):
        list(RECORD.lines_of(str(path)))
    path.write_bytes(b"012345678\nshort")
    assert list(RECORD.lines_of(str(path))) == [b"012345678", b"short"]
    packed = tmp_path / "part.gz"
    packed.write_bytes(gzip.compress(b"x" * 10_000_000))
    with pytest.raises(RECORD.Unreadable):
        list(RECORD.lines_of(str(packed)))


def test_says_what_it_cannot_read_whatever_is_wrong_with_it(tmp_path, capsys):
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----\n")
    broken = forged(tmp_path / "broken.zip")
    raw = bytearray(broken.read_bytes())
    raw[30 + len("proposal.json")] ^= 0xFF  # of the first file's packed bytes
    broken.write_bytes(raw)
    odd = forged(tmp_path / "odd.zip", ours=7)
    for path in (broken, odd):
        assert VERIFIER.main([str(path), "--key", str(key)]) == 2
        assert capsys.readouterr().out.startswith("Cannot read it: ")
