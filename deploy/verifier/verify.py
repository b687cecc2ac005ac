#!/usr/bin/env python3
"""Verifies what Quartermaster gives an auditor, without Quartermaster: an evidence pack, a part of
the audit record, the proof of one event, the proof that one checkpoint continues another, or the
receipt of an erasure.

    python verify.py pack.zip --key key.pem [--checkpoint kept.txt ...] [--registry-key key.pem]
    python verify.py part.qmr --key key.pem [--checkpoint kept.txt ...]
    python verify.py event.tlog-proof --key key.pem
    python verify.py consistency.txt --key key.pem --checkpoint kept.txt
    python verify.py erasure.json --key key.pem --proof event.tlog-proof

It needs Python 3.11 and nothing else: no network, no portal. The package `cryptography` is used
where it is installed, and makes large parts of the record a hundred times faster. A pack may be the
zip or the folder that was unpacked from it.

--key holds the public keys that may have signed the record, as whoever runs it handed them to you;
take them from the portal or from a pack only to compare their fingerprints. --checkpoint names
checkpoints that you kept yourself, or fetched from the bucket where nobody can change them: the
record must run through them. --proof is that of the event which names a receipt. --registry-key
holds the public keys that may have signed models; without it those of the pack are taken, which is
said.

It ends with 0 where everything is as it was signed, with 1 where something is not, and with 2 where
it cannot read what it was given.
"""

import argparse
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -I leaves it out
sys.dont_write_bytecode = True  # nothing is added to a pack by checking it

from keys import Unreadable, Wrong, keys_in, read_keys  # noqa: E402
from pack import open_pack, verify_pack  # noqa: E402
from receipt import receipt_in, verify_receipt  # noqa: E402
from record import (  # noqa: E402
    PART,
    PROOF,
    lines_of,
    read_checkpoint,
    verify_consistency,
    verify_part,
    verify_proof,
)


def run(
    file: str, key: str, checkpoints: list[str], registry_key: str = "", proof: str = ""
) -> str:
    """Verify a file or a folder, whichever of the five it is; return what holds, in words."""
    keys = read_keys(key)
    kept = [read_checkpoint(Path(path).read_text("utf-8"), keys) for path in checkpoints]
    if Path(file).is_dir() or zipfile.is_zipfile(file):
        theirs = keys_in(Path(registry_key).read_bytes()) if registry_key else []
        return str(verify_pack(open_pack(file), keys, kept, theirs))
    if file.endswith(".json") and (receipt := receipt_in(Path(file).read_bytes())):
        return str(verify_receipt(receipt, proof, keys))
    lines = lines_of(file)
    head = next(lines, b"").decode(errors="replace")
    if head == PART:
        return str(verify_part(lines, keys, kept))
    if head == PROOF:
        return str(verify_proof(list(lines), keys))
    if head.startswith("old "):
        return str(verify_consistency([head.encode(), *lines], keys, kept))
    raise Unreadable(f"{file}: no evidence pack, part of the record, proof or receipt.")


def main(arguments: list[str]) -> int:
    """Verify, and say what holds or what does not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("file")
    parser.add_argument("--key", required=True)
    parser.add_argument("--checkpoint", action="append", default=[])
    parser.add_argument("--registry-key", default="")
    parser.add_argument("--proof", default="")
    named = parser.parse_args(arguments)
    try:
        print(run(named.file, named.key, named.checkpoint, named.registry_key, named.proof))
    except Wrong as error:
        print(f"WRONG: {error}")
        return 1
    except Exception as error:  # noqa: BLE001 - whatever somebody wrote into it
        print(f"Cannot read it: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
