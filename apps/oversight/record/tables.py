"""The record's checkpoints and verifications as tables. Declarations only."""

import base64

from django.urls import reverse

from apps.audit.models import Checkpoint, Verification
from apps.common.tables.columns import Column, Empty, Table
from apps.oversight.record.badges import checkpoint_badge, outcome_badge


def root_words(checkpoint: Checkpoint) -> str:
    """Return a checkpoint's root as its note has it."""
    return base64.b64encode(checkpoint.root).decode()


def note_url(checkpoint: Checkpoint) -> str:
    """Return where a checkpoint's note is."""
    return reverse("oversight:checkpoint", args=[checkpoint.size])


def proof_url(checkpoint: Checkpoint) -> str:
    """Return where the proof is that the record continues a checkpoint."""
    return reverse("oversight:checkpoint_proof", args=[checkpoint.size])


def read_words(done: Verification) -> str:
    """Return which entries a reading read."""
    if done.is_whole:
        return "all of it"
    newest = f"from entry {done.first:,} on"
    if done.again_first == done.again_end:
        return newest
    return f"{newest}, and entries {done.again_first:,} to {done.again_end - 1:,} again"


CHECKPOINTS = Table(
    name="checkpoints",
    noun=("checkpoint", "checkpoints"),
    prefix="checkpoint",
    page_size=10,
    columns=(
        Column("size", "Entries", lambda row: f"{row.size:,}", sort="size", csv="size",
               csv_head="size", place="name"),
        Column("state", "State", checkpoint_badge, kind="badge", place="figure",
               csv=lambda row: "anchored" if row.anchored_at else "waiting"),
        Column("signed", "Signed", "signed_at", kind="time", sort="signed_at",
               csv_head="signed_at", css="nowrap"),
        Column("anchored", "Anchored", "anchored_at", kind="time", sort="anchored_at",
               csv_head="anchored_at", unknown="not yet", css="nowrap"),
        Column("note", "Note", lambda row: "Checkpoint", url=note_url, csv="note",
               csv_head="note"),
        Column("proof", "Continued", lambda row: "Proof" if row.anchored_at else None,
               url=proof_url, csv=lambda row: "", optional=True),
        Column("root", "Root", root_words, kind="mono", csv_head="root", optional=True,
               at_first=False),
    ),
    order="-size",
    empty=Empty("No checkpoint is signed yet",
                "The sealer signs one some minutes after the first event.", icon="anchor"),
)  # fmt: skip

VERIFICATIONS = Table(
    name="verifications",
    noun=("verification", "verifications"),
    prefix="verification",
    page_size=10,
    columns=(
        Column("at", "Verified", "verified_at", kind="time", sort="verified_at",
               csv_head="verified_at", place="name", css="nowrap"),
        Column("outcome", "Found", outcome_badge, kind="badge", place="figure",
               csv="found", csv_head="found"),
        Column("read", "Read", read_words, csv_head="read"),
        Column("size", "Up to entry", "size", kind="figure", sort="size", csv_head="size"),
        Column("anchored", "Anchored up to", "anchored_size", kind="figure",
               csv_head="anchored_size"),
    ),
    order="-at",
    empty=Empty("The record was not verified yet", "It is, every night.", icon="shield-check"),
)  # fmt: skip
