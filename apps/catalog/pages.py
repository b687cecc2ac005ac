"""What the catalog's pages say about rows: badges, facts, steps. Pure: rows in, words out."""

from collections.abc import Callable, Iterable, Sequence

from django.conf import settings
from django.urls import reverse

from apps.audit.models import Action
from apps.audit.timeline import TimelineEvent
from apps.catalog.actions import SIGNER_REVOKED
from apps.catalog.facts.models import ModelFacts
from apps.catalog.facts.words import count_words
from apps.catalog.models import ModelFile, ModelVersion, RegisteredModel
from apps.common.badges import Badge

Status = ModelVersion.Status
BADGES = {
    Status.UPLOADING: Badge("draft", "upload", "Uploading"),
    Status.SIGNING: Badge("busy", "circle-dot", "Signing"),
    Status.VERIFYING: Badge("busy", "circle-dot", "Verifying"),
    Status.VERIFIED: Badge("ok", "circle-check", "Verified"),
    Status.QUARANTINED: Badge("bad", "circle-x", "Quarantined"),
    Status.FAILED: Badge("bad", "circle-x", "Failed"),
}
Facts = list[tuple[str, object]]


def version_badge(version: ModelVersion) -> Badge:
    """Return a version's badge."""
    return BADGES[Status(version.status)]


def crumbs(model: RegisteredModel, page: str = "") -> list[tuple[str, str]]:
    """Return the breadcrumbs of a page under a model's tabs. page: its name; "" on the overview."""
    catalog = ("Catalog", reverse("catalog:model_list"))
    if not page:
        return [catalog, (model.name, "")]
    return [catalog, (model.name, reverse("catalog:model_detail", args=[model.name])), (page, "")]


def model_facts(model: RegisteredModel, facts: ModelFacts | None = None) -> Facts:
    """Return a model's facts. facts: of its newest version that has any, its version loaded; what
    it counts stands beside what was registered.
    """
    counted = facts.parameters if facts else None
    context = facts.context if facts else None
    return [
        ("Owner", f"Team {model.owner_team.name}"),
        ("Called as", {"text": model.name, "mono": True, "copy": True}),
        ("Task", model.task),
        ("Family", model.family),
        ("Parameters", _beside(count_words(model.parameter_count), counted, count_words, facts)),
        (
            "Context",
            _beside(f"{model.context_length:,} tokens", context, "{:,} tokens".format, facts),
        ),
        ("License", model.license),
        ("Most sensitive data", model.get_data_class_display()),
    ]


def _beside(
    registered: str, found: int | None, words: Callable[[int], str], facts: ModelFacts | None
) -> str:
    """Return what was registered, and beside it what a version's files say where that differs."""
    if found is None or facts is None or words(found) == registered:
        return registered
    return f"{registered} registered; {words(found)} in the files of v{facts.version.number}"


def version_facts(version: ModelVersion, signed_by: object) -> Facts:
    """Return a version's identity, signature and lock. signed_by: its signer as this person reads
    it, "" before it was signed.
    """
    where = f"s3://{settings.REGISTRY_BUCKET}/{version.prefix}"
    digest: object = (
        {"text": version.manifest_digest, "mono": True, "copy": True}
        if version.manifest_digest
        else ""
    )
    locked = version.manifest_digest and version.locked_until
    return [
        ("Manifest digest", digest or "Written when every file was read back"),
        ("Signed by", signed_by or "Not signed yet"),
        (
            "Locked until",
            f"{version.locked_until:%d %b %Y %H:%M} UTC; nobody can shorten it" if locked else "—",
        ),
        ("Stored at", {"text": where, "mono": True, "copy": True}),
        ("Published by", str(version.created_by)),
        ("What changed", version.note or "—"),
    ]


def version_progress(version: ModelVersion, files: Sequence[ModelFile]) -> dict[str, object] | None:
    """Return bytes done and of how many in the present phase; None when nothing moves."""
    total = sum(file.size for file in files)
    if version.status == Status.UPLOADING:
        done = sum(part["size"] for file in files for part in file.parts)
        return {"label": "Uploaded", "done": done, "total": total}
    if version.status == Status.SIGNING:
        return {"label": "Read back", "done": version.bytes_verified, "total": total}
    if version.status == Status.VERIFYING:
        return {"label": "Verified", "done": version.bytes_verified, "total": total}
    return None


def version_steps(
    version: ModelVersion, files: Sequence[ModelFile], events: Iterable[TimelineEvent]
) -> list[dict[str, object]]:
    """Return the stepper: upload, reading back, signing and locking, verifying. events: of the
    version's record, which tells when it was signed.
    """
    signed = str(Action.VERSION_PUBLISHED.label)
    stored = bool(files) and all(file.uploaded_at for file in files)
    read = bool(files) and all(file.read_back_at for file in files)
    done = [
        version.status != Status.UPLOADING and version.locked_until is not None,
        stored and read,
        bool(version.manifest_digest),
        version.status == Status.VERIFIED or version.verified_at is not None,
    ]
    times = [
        max((file.uploaded_at for file in files if file.uploaded_at), default=None),
        max((file.read_back_at for file in files if file.read_back_at), default=None),
        next((event.occurred_at for event in events if event.label == signed), None),
        version.verified_at,
    ]
    labels = [
        "Files uploaded",
        "Every file read back from S3",
        "Manifest signed, objects locked",
        "Everything verified",
    ]
    if all(done) and version.status == Status.QUARANTINED:  # after it was verified
        is_revoked = version.reason == SIGNER_REVOKED
        labels.append("Signing key revoked" if is_revoked else "Found changed in the registry")
        done.append(False)
        times.append(version.observed_at)
    now = done.index(False) if False in done else len(done)
    halted = version.status in (Status.QUARANTINED, Status.FAILED)
    steps: list[dict[str, object]] = []
    for place, label in enumerate(labels):
        state = "done" if done[place] else "next" if place != now else "failed" if halted else "now"
        detail = version.message if place == now else ""
        steps.append(
            {"label": label, "state": state, "detail": detail, "at": times[place], "since": None}
        )
    return steps
