"""Whether the bucket itself is kept as a registry's has to be, by its settings. Pure: what S3 said
in, one line for each setting out. What S3 does not tell is not known, and never counts as right.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from apps.common.counts import counted
from apps.integrations.s3.types import BucketFacts

NOT_TOLD = "S3 does not tell."


class Verdict(StrEnum):
    """How a setting is."""

    RIGHT = "RIGHT"
    WRONG = "WRONG"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Setting:
    """One setting of the bucket. found: what it is, in words; advice: what to do where it is
    wrong.
    """

    name: str
    verdict: str
    found: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as it is kept."""
        return {key: str(value) for key, value in asdict(self).items()}


def settings_of(facts: BucketFacts, *, kms_key: str, retention_days: int) -> list[Setting]:
    """Return every setting, in the order people read them. kms_key: "" where none is asked for;
    retention_days: for how long the portal locks each object.
    """
    return [
        _versioning(facts),
        _lock(facts),
        _default_retention(facts, retention_days),
        _encryption(facts, kms_key),
        _replication(facts),
        _public_access(facts),
    ]


def _versioning(facts: BucketFacts) -> Setting:
    if facts.versioning is None:
        return Setting("Versioning", Verdict.UNKNOWN, NOT_TOLD)
    if facts.versioning == "Enabled":
        return Setting("Versioning", Verdict.RIGHT, "Every write keeps what was there before.")
    found = f"Versioning is {facts.versioning.lower() or 'off'}."
    return Setting("Versioning", Verdict.WRONG, found, "Turn it on: a lock is of one version.")


def _lock(facts: BucketFacts) -> Setting:
    if facts.object_lock is None:
        return Setting("Object Lock", Verdict.UNKNOWN, NOT_TOLD)
    if facts.object_lock:
        return Setting("Object Lock", Verdict.RIGHT, "Objects can be locked.")
    advice = "It is turned on when a bucket is made, or by AWS. Nothing can be published before."
    return Setting("Object Lock", Verdict.WRONG, "Objects cannot be locked.", advice)


def _default_retention(facts: BucketFacts, retention_days: int) -> Setting:
    name = "Default retention"
    if facts.object_lock is None:
        return Setting(name, Verdict.UNKNOWN, NOT_TOLD)
    wanted = counted(retention_days, "day")
    if not facts.retention_days:
        found = "None. The portal locks each object itself; what others write there is not locked."
        advice = f"Set COMPLIANCE for {wanted}, so that nothing there is unlocked."
        return Setting(name, Verdict.WRONG, found, advice)
    found = f"{facts.retention_mode}, {counted(facts.retention_days, 'day')}."
    if facts.retention_mode != "COMPLIANCE":
        return Setting(name, Verdict.WRONG, found, "Set COMPLIANCE: others can be lifted.")
    if facts.retention_days < retention_days:
        advice = f"Set {wanted}, for which the portal locks each object."
        return Setting(name, Verdict.WRONG, found, advice)
    return Setting(name, Verdict.RIGHT, found)


def _encryption(facts: BucketFacts, kms_key: str) -> Setting:
    name = "Encryption"
    if facts.encryption is None:
        return Setting(name, Verdict.UNKNOWN, NOT_TOLD)
    below = ", with a bucket key" if facts.bucket_key else ""
    found = f"{facts.encryption or 'None'} {facts.kms_key}".strip() + f"{below}."
    if not kms_key:
        words = f"{found} REGISTRY_KMS_KEY asks for no key."
        if facts.encryption:
            return Setting(name, Verdict.RIGHT, words)
        return Setting(name, Verdict.WRONG, words, "Turn the bucket's encryption on.")
    # aws:kms without a key means AWS's own
    if facts.encryption != "aws:kms" or not facts.kms_key:
        return Setting(name, Verdict.WRONG, found, f"Set SSE-KMS with {kms_key}.")
    if not f"/{facts.kms_key}".endswith((f"/{kms_key}", f":{kms_key}")):
        if "alias/" in kms_key + facts.kms_key:
            words = f"{found} Whether that is {kms_key}, S3 does not tell."
            return Setting(name, Verdict.UNKNOWN, words)
        return Setting(name, Verdict.WRONG, found, f"Set SSE-KMS with {kms_key}.")
    if not facts.bucket_key:
        advice = "Turn the bucket key on: else every part is a call to KMS."
        return Setting(name, Verdict.WRONG, found, advice)
    return Setting(name, Verdict.RIGHT, found)


def _replication(facts: BucketFacts) -> Setting:
    name = "Replication"
    if facts.replication is None:
        return Setting(name, Verdict.UNKNOWN, NOT_TOLD)
    if facts.replication:
        return Setting(name, Verdict.RIGHT, f"To {', '.join(facts.replication)}.")
    advice = "Set a rule to a bucket in another region, with Object Lock of its own."
    return Setting(name, Verdict.WRONG, "No rule copies objects elsewhere.", advice)


def _public_access(facts: BucketFacts) -> Setting:
    name = "Public access"
    if facts.public_access_block is None:
        return Setting(name, Verdict.UNKNOWN, NOT_TOLD)
    missing = [word for word, is_on in sorted(facts.public_access_block.items()) if not is_on]
    if not missing:
        return Setting(name, Verdict.RIGHT, "All four ways are blocked.")
    return Setting(name, Verdict.WRONG, f"Not set: {', '.join(missing)}.", "Set all four.")


def of_json(item: Mapping[str, str]) -> Setting:
    """Return a setting as it was kept."""
    return Setting(item["name"], item["verdict"], item["found"], item.get("advice", ""))
