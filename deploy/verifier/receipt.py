"""The receipt of an erasure: what was destroyed. An event of the record names it by its digest."""

import hashlib
import json
from pathlib import Path
from typing import Any

from keys import Key, Unreadable, Wrong
from record import lines_of, proven_entry

FORMAT = "quartermaster.erasure@v1"
ACTION = "erasure.done"


def receipt_in(raw: bytes) -> dict[str, Any] | None:
    """Return the receipt that a file holds; None where it is something else. Raises Wrong where a
    name stands twice: whoever reads the file could take the one for the other.
    """
    try:
        found = json.loads(raw, object_pairs_hook=_once)
    except ValueError:
        return None
    is_one = isinstance(found, dict) and found.get("format") == FORMAT
    return found if is_one else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Wrong("A name stands twice in the file.")
    return found


def verify_receipt(receipt: dict[str, Any], proof: str, keys: list[Key]) -> str:
    """Verify that an event of the record names a receipt; return what holds, in words. proof: the
    path of the event's tlog-proof.
    """
    if not proof:
        raise Unreadable("Name the proof of the event that names this receipt with --proof.")
    if not Path(proof).is_file():
        raise Unreadable(f"{proof}: no such file.")
    entry, index, head = proven_entry(list(lines_of(proof)), keys)
    event = json.loads(entry)
    if event["action"] != ACTION or event["target_id"] != receipt["request"]:
        raise Wrong("The proof is of another event than this receipt's.")
    if event["data"].get("receipt") != digest_of(receipt):
        raise Wrong("The receipt is not what the record names.")
    destroyed = [key["id"] for key in receipt["keys_destroyed"]]
    if event["data"].get("keys_destroyed") != destroyed:
        raise Wrong("The record names other keys than the receipt.")
    return _words(receipt, index, head.size)


def digest_of(value: Any) -> str:
    """Return the digest over a receipt's canonical JSON (RFC 8785): it holds texts and whole
    numbers alone, whose canonical form this is.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _words(receipt: dict[str, Any], index: int, size: int) -> str:
    said, left, lost = receipt["records"], receipt["left"], receipt["not_reached"]
    subject, decided = receipt["subject"], receipt["decided"]
    lines = [
        f"Entry {index:,} of the record, as it was signed at {size:,} entries, names this receipt.",
        f"  {subject['kind'].lower()} {subject['token']}, decided by {decided['by']} at "
        f"{decided['at']}, asked for by {receipt['asked']['by']}",
        f"  keys destroyed: {len(receipt['keys_destroyed']):,}; calls that nobody reads any more: "
        f"{said['unreadable']:,}",
        f"  ciphertext left in S3: {said['ciphertext_left_in_s3']:,} calls in "
        f"{len(left['objects']):,} objects, and maybe in "
        f"{len(left.get('objects_being_written', [])):,} that were being written",
        f"  wrapped keys in backups until: {left['wrapped_keys_in_backups_until']}",
        f"  not reached: {lost['sent_without_a_member_or_case']:,} calls that named nobody, "
        f"{lost['hashed_with_another_secret']:,} hashed with another secret",
        f"  {receipt['means']}",
        "Proven is that the record names this very receipt, with the keys it lists. That the keys",
        "are gone, and whom the token stands for, is for the portal and its database to show.",
    ]
    return "\n".join(lines)
