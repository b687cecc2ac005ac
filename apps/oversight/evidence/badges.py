"""What the state of an evidence pack is called."""

from apps.common.badges import Badge
from apps.common.progress import Progress
from apps.oversight.evidence.models import EvidencePack

Status = EvidencePack.Status
BADGES = {
    Status.WAITING: Badge("busy", "", "Being made"),
    Status.MADE: Badge("ok", "", "Made"),
    Status.FAILED: Badge("bad", "", "Failed"),
}


def badge(pack: EvidencePack) -> Badge:
    """Return where a pack stands."""
    return BADGES[Status(pack.status)]


def progress(pack: EvidencePack) -> Progress:
    """Return how far the making of a pack is."""
    words = pack.working_on or "Waits for a worker"
    return Progress(words, done=pack.done, total=pack.total, unit="steps", since=pack.asked_at)


def facts(pack: EvidencePack) -> list[tuple[str, object]]:
    """Return what there is to say of a pack, in the order of a page."""
    found: list[tuple[str, object]] = [
        ("About", pack.label),
        ("Asked for by", f"{pack.asked_by} ({pack.asked_by.username})"),
    ]
    if pack.checkpoint_size is not None:
        found.append(("Record up to entry", f"{pack.checkpoint_size:,}"))
    if pack.made_at is not None:
        digest = {"text": f"sha256:{pack.sha256}", "mono": True, "copy": True}
        found += [("Made", f"{pack.made_at:%d %b %Y %H:%M} UTC"), ("Digest of the zip", digest)]
    return found
