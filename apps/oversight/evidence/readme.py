"""The README in a pack: what each thing is, and which command proves what. Pure."""

from collections.abc import Mapping, Sequence

from apps.oversight.evidence.collecting import Collected

HEAD = """\
# Evidence: {label}

Made by Quartermaster for whoever audits it. You need Python 3.11 or newer, no network and no access
to the portal. The events in this pack are those of the audit record `{origin}` among its first
{size:,} entries, as they were signed then. `contents.json` lists every file with its SHA-256, and
what proves which of them.

## One command checks all of it

    python verifier/verify.py . --key KEYS.pem

KEYS.pem holds the public keys of the record that were handed to you by another way than this pack.
The pack brings the portal's own in `record/keys.pem`; use them only if the fingerprint of the first
is the one that you were told:

    {fingerprint}

The command ends with 0 where all of it holds, and with 1 where something was changed, which it
names. It proves

1. that no file of the pack was changed, added or left out since it was made;
2. that every event in an `events` folder is in the record, at its place, as it was sealed: it leads
   through hashes (RFC 6962) to a checkpoint that a key of the record signed;
3. that the files which such an event names by their digest are those files: the dossier that a
   reviewer decided over, evaluation reports, manifests, statements;
4. that a commit is the one that an event names, that the files beside it are the commit's, and,
   where it says so, that they are byte for byte what was approved;
5. that a key of the registry signed the files that a manifest lists.

With `--checkpoint FILE` it also compares the record with a checkpoint of the same size that you
kept yourself, or fetched from the bucket where nobody can change it. `record/checkpoint.txt` is the
one that this pack leads to: keep it. To prove one event alone:

    python verifier/verify.py PATH/events/NUMBER-ACTION.tlog-proof --key KEYS.pem
"""
MODEL = """
## The model's files, with the public tool

The pack holds the list of a model's files and their signature, not the files. Whoever has the files
in a folder MODEL checks them with OpenSSF Model Signing, which is not ours:

    pip install model-signing pyopenssl
    model_signing verify key MODEL --signature {signature} --public_key KEY.pem

KEY.pem holds the one key of `{keys}` that signed, compared with what you were told by another way.
It proves that every byte of the model is what was signed; the command above proves that this
signature is over the list that was approved.
"""
LIMITS = """
## What it does not prove

Whoever forges a pack can bring a program with it that finds nothing: if you did not get the pack
from the portal yourself, run a copy of `verifier` that you did. Files that no event and no
signature names are what the portal says: the command lists them. That
the record was never rewritten before it was sealed, and that there is no second record with this
key, is proven by the checkpoints in the bucket, not by this pack. There is no prompt, no answer, no
data of a member and no secret in it.
"""


def text(
    collected: Collected, *, label: str, origin: str, checkpoint_size: int, fingerprint: str
) -> str:
    """Return the README of what was collected. fingerprint: of the key that signs the record."""
    head = HEAD.format(label=label, origin=origin, size=checkpoint_size, fingerprint=fingerprint)
    model = MODEL.format(**collected.models[0]) if collected.models else ""
    return head + model + LIMITS + _missing(collected.missing) + _files(collected.about)


def _missing(missing: Sequence[Mapping[str, str]]) -> str:
    if not missing:
        return ""
    lines = [f"- {one['what']}: {one['why']}" for one in missing]
    return "\n".join(["", "## What is not here, and why", "", *lines, ""])


def _files(about: Mapping[str, str]) -> str:
    named = {path: words for path, words in about.items() if not _is_one_of_many(path)}
    lines = [f"- `{path}`: {words}" for path, words in sorted(named.items())]
    many = "- `…/events/`, `…/trees/`: one file for each event, and for each folder of a commit."
    return "\n".join(["", "## The files", "", *lines, many, ""])


def _is_one_of_many(path: str) -> bool:
    return "events/" in path or "/trees/" in path
