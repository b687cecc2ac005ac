"""What pages say of keys that sign manifests. Pure: rows in, words out."""

from django.urls import reverse

from apps.catalog.signers.models import Signer, SignerRevocation
from apps.common.badges import Badge
from apps.common.decisions import asked_facts

Facts = list[tuple[str, object]]
STATUS_BADGES = {
    SignerRevocation.Status.PENDING: Badge("draft", "", "Waiting for a decision"),
    SignerRevocation.Status.APPROVED: Badge("bad", "", "Revoked"),
    SignerRevocation.Status.REJECTED: Badge("idle", "", "Rejected"),
    SignerRevocation.Status.WITHDRAWN: Badge("idle", "", "Withdrawn"),
}


def badge(signer: Signer) -> Badge:
    """Return whether the key signs, signed, or is believed no more."""
    if signer.revoked_at is not None:
        return Badge("bad", "", "Revoked", title="Its signatures no longer count")
    if signer.active_to is None:
        return Badge("ok", "", "Signs now")
    return Badge("idle", "", "Former key", title="Its signatures still count")


def url(signer: Signer) -> str:
    """Return the address of a key's page."""
    return reverse("registry:signer_detail", args=[signer.fingerprint])


def facts(signer: Signer, versions: int) -> Facts:
    """Return who a key is, and for how long it signed."""
    until = f"{signer.active_to:%d %b %Y %H:%M} UTC" if signer.active_to else "it signs now"
    key: object = {"text": signer.key_id, "mono": True} if signer.key_id else "not known"
    return [
        ("Private key in", signer.get_kind_display()),
        ("Key there", key),
        ("Fingerprint", {"text": signer.fingerprint, "mono": True, "copy": True}),
        ("Signed from", f"{signer.active_from:%d %b %Y %H:%M} UTC"),
        ("Until", until),
        ("Versions signed", f"{versions:,}"),
    ]


def revocation_facts(row: SignerRevocation) -> Facts:
    """Return who asked for a key to be revoked, why, and what came of it."""
    found: Facts = asked_facts(row, "Asked by")
    if row.versions is not None:
        found.append(("Versions taken out of use", f"{row.versions:,}"))
    return found
