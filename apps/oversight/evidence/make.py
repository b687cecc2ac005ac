"""Puts a pack together in a folder, and makes the zip of it. The same rows under the same
checkpoint give the same bytes.
"""

from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet

from apps.audit.models import Checkpoint
from apps.audit.sealing.keys import keys_from_settings
from apps.common.signing import fingerprint, public_pem
from apps.oversight.evidence import months, promotions, readme
from apps.oversight.evidence.collecting import INDEX, Collected, write_zip
from apps.oversight.evidence.models import EvidencePack
from apps.oversight.evidence.proofs import Targets, add_events, checkpoint_over
from apps.oversight.evidence.sources import Sources
from apps.promotions.models import Promotion

VERIFIER = Path(settings.BASE_DIR) / "deploy/verifier"
PROGRAM = "The program that checks the pack; the README says how."

Tell = Callable[[str], None]  # what is worked on, in words


def promotions_in(pack: EvidencePack) -> list[Promotion]:
    """Return the promotions that a pack is about, with what is read of each."""
    rows: QuerySet[Promotion] = Promotion.objects.filter(pk__in=[pack.promotion_id])
    if pack.month is not None:
        rows = months.promotions_of(pack.month)
    loaded = rows.select_related(
        "model_version__registered_model",
        "baseline__registered_model",
        "eval_run__suite",
        "eval_run__model_version__registered_model",
        "requested_by",
        "policy_revision",
    )
    return list(loaded.prefetch_related("rollouts", "changes"))


def checkpoint_for(pack: EvidencePack) -> Checkpoint:
    """Return the anchored checkpoint that a pack's proofs lead to: the one that it began with, or
    the newest one. Raises NotAnchoredYet.
    """
    if pack.checkpoint_size is not None:
        return Checkpoint.objects.get(size=pack.checkpoint_size)
    targets = [one for found in promotions_in(pack) for one in promotions.targets_of(found)]
    if pack.month is None:
        return checkpoint_over(targets, asked_at=pack.asked_at)
    every: Targets = [*targets, *months.targets_of(pack.month)]
    return checkpoint_over(every, asked_at=pack.asked_at)


def steps_of(pack: EvidencePack) -> int:
    """Return about how many steps the making of a pack has."""
    return sum(5 + found.rollouts.count() for found in promotions_in(pack)) + 3


def make(
    pack: EvidencePack, checkpoint: Checkpoint, sources: Sources, folder: Path, tell: Tell
) -> Path:
    """Make a pack in a folder that is empty; return the zip. tell: called before each step.

    checkpoint: that its proofs lead to. Raises TemporaryError where S3 or Git cannot be asked now.
    """
    collected = Collected(folder / "files")
    if pack.month is not None:
        tell("Part of the record")
        add_events(collected, months.targets_of(pack.month), checkpoint, "statements/")
        months.add_record(collected, pack.month, checkpoint)
        for words in months.add_statements(collected, pack.month, sources.archive):
            tell(words)
    for promotion in promotions_in(pack):
        tell(f"Events about {promotion.model_version.name}")
        base = _base_of(promotion) if pack.month else ""
        add_events(collected, promotions.targets_of(promotion), checkpoint, base)
        for words in promotions.add_promotion(collected, promotion, sources, base):
            tell(words)
    tell("Zip")
    _finish(collected, pack, checkpoint)
    target = folder / "pack.zip"
    write_zip(collected.folder, [*collected.about, INDEX], target)
    return target


def _base_of(promotion: Promotion) -> str:
    return f"promotions/{promotion.model_version.name}-{str(promotion.pk)[:8]}/"


def _finish(collected: Collected, pack: EvidencePack, checkpoint: Checkpoint) -> None:
    """Add what is the same in every pack, and the index over everything."""
    keys = keys_from_settings()
    pem = b"".join(public_pem(key) for key in keys)
    collected.add_ours("record/keys.pem", pem, "The record's public keys, as the portal has them.")
    note = checkpoint.note.encode()
    collected.add_ours("record/checkpoint.txt", note, "The checkpoint that the proofs lead to.")
    for program in sorted(VERIFIER.glob("*.py")):
        collected.add_ours(f"verifier/{program.name}", program.read_bytes(), PROGRAM)
    words = readme.text(
        collected,
        label=pack.label,
        origin=settings.AUDIT_ORIGIN,
        checkpoint_size=checkpoint.size,
        fingerprint=fingerprint(keys[0]),
    )
    collected.add_ours("README.md", words.encode(), "What is here, and how to check it.")
    subject = {"kind": pack.kind, "id": str(pack.promotion_id or pack.month), "label": pack.label}
    index = collected.index(subject, checkpoint.size)
    (collected.folder / INDEX).write_bytes(index)
