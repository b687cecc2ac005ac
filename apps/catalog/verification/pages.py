"""What pages say of readings of a version's bytes, of how its objects are kept, and of the bucket's
settings. Pure: rows in, words out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.urls import reverse

from apps.catalog.models import ModelVersion
from apps.catalog.verification.bucket import Setting, Verdict
from apps.catalog.verification.checks import KMS, NOT_TOLD, is_key
from apps.catalog.verification.models import Verification
from apps.common.badges import Badge

NOT_KNOWN = "not known: S3 does not tell"
VERDICTS = {
    Verdict.RIGHT: Badge("ok", "", "As it has to be"),
    Verdict.WRONG: Badge("warn", "", "Not as it has to be"),
    Verdict.UNKNOWN: Badge("idle", "circle-help", "Not known"),
}
STATUSES = {
    Verification.Status.RUNNING: Badge("busy", "", "Reading"),
    Verification.Status.PASSED: Badge("ok", "", "Every byte as signed"),
    Verification.Status.FAILED: Badge("bad", "", "Not what was signed"),
    Verification.Status.ENDED: Badge("warn", "", "No result"),
}
Facts = list[tuple[str, object]]


def badge(row: Verification) -> Badge:
    """Return how far a reading is, or what it found."""
    return STATUSES[Verification.Status(row.status)]


def verdict(setting: Setting) -> Badge:
    """Return how a setting of the bucket is."""
    return VERDICTS[Verdict(setting.verdict)]


def version_url(row: Verification) -> str:
    """Return the address of the version that was read."""
    version = row.version
    return reverse("catalog:version_detail", args=[version.registered_model.name, version.number])


def who(row: Verification) -> str:
    """Return who asked for a reading."""
    return str(row.requested_by) if row.requested_by else "the schedule"


def found(row: Verification) -> str:
    """Return what a reading found, in words."""
    if row.status == Verification.Status.RUNNING:
        return row.message or f"{_percent(row)} % read"
    return row.message or "Nothing differs."


def _percent(row: Verification) -> int:
    return 100 * row.bytes_done // row.bytes_total if row.bytes_total else 0


def progress(row: Verification) -> dict[str, object]:
    """Return how far a reading is, in bytes."""
    return {"label": "Read again", "done": row.bytes_done, "total": row.bytes_total}


def protection_facts(version: ModelVersion, kms_key: str) -> Facts:
    """Return how S3 says that a version's objects are kept. kms_key: that has to encrypt them, ""
    where none has to.
    """
    kept: Mapping[str, Sequence[str]] = version.protection
    if not kept:
        return [("Encrypted", "not looked at yet"), ("Copied elsewhere", "not looked at yet")]
    return [
        ("Encrypted", _encryption(kept, kms_key)),
        ("Copied elsewhere", _replication(kept["replication"])),
    ]


def _encryption(kept: Mapping[str, Any], kms_key: str) -> str:
    methods = kept["encryption"]
    if methods == [""]:
        return NOT_KNOWN
    words = " and ".join(method or "not told" for method in methods)
    if kept["kms_keys"]:
        words += f", key {', '.join(kept['kms_keys'])}"
    if kept["bucket_key"] == ["True"]:
        words += ", with a bucket key"
    if not kms_key:
        return f"{words}; no key is asked for"
    is_other = any(not is_key(key, kms_key) for key in kept["kms_keys"])
    if is_other or set(methods) - {KMS, NOT_TOLD}:
        words += f"; today the settings ask for {kms_key}"
    return words


def _replication(states: Sequence[str]) -> str:
    if states == [""]:
        return "not known: S3 tells of no copy"
    names = {
        "": "some objects have no copy that S3 tells of",
        "COMPLETED": "copied",
        "COMPLETE": "copied",
        "PENDING": "being copied",
        "FAILED": "a copy failed",
        "REPLICA": "this is the copy",
    }
    return "; ".join(names.get(state, state) for state in states)
