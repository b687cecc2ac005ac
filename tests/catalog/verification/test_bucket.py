"""What the page says of the bucket: what S3 does not tell is never right."""

from dataclasses import replace

import pytest

from apps.catalog.verification.bucket import settings_of
from apps.catalog.verification.checks import encryption_problem, protection
from apps.integrations.s3.types import BucketFacts, StoredObject

KEY = "arn:aws:kms:us-east-1:111122223333:key/0a1b"
FOUR = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
GOOD = BucketFacts(
    versioning="Enabled",
    object_lock=True,
    retention_mode="COMPLIANCE",
    retention_days=365,
    encryption="aws:kms",
    kms_key=KEY,
    bucket_key=True,
    replication=("arn:aws:s3:::copy",),
    public_access_block=dict.fromkeys(FOUR, True),
)


def verdicts(facts, kms_key=KEY):
    found = settings_of(facts, kms_key=kms_key, retention_days=365)
    return {setting.name: setting.verdict for setting in found}


class TestSettingsOf:
    def test_are_all_right_where_they_are(self):
        assert set(verdicts(GOOD).values()) == {"RIGHT"}

    @pytest.mark.parametrize(
        ("facts", "name"),
        [
            ({"versioning": ""}, "Versioning"),
            ({"versioning": "Suspended"}, "Versioning"),
            ({"object_lock": False}, "Object Lock"),
            ({"retention_days": 0}, "Default retention"),
            ({"retention_days": 364}, "Default retention"),
            ({"retention_mode": "GOVERNANCE"}, "Default retention"),
            ({"encryption": "AES256"}, "Encryption"),
            ({"kms_key": "arn:aws:kms:us-east-1:111122223333:key/9z"}, "Encryption"),
            ({"kms_key": ""}, "Encryption"),  # AWS's own
            ({"kms_key": KEY + "0"}, "Encryption"),
            ({"bucket_key": False}, "Encryption"),
            ({"replication": ()}, "Replication"),
            ({"public_access_block": dict.fromkeys(FOUR, True) | {FOUR[1]: False}},
             "Public access"),
        ],
    )  # fmt: skip
    def test_are_wrong_with_what_to_do(self, facts, name):
        found = settings_of(replace(GOOD, **facts), kms_key=KEY, retention_days=365)
        wrong = {setting.name: setting for setting in found if setting.verdict != "RIGHT"}
        assert wrong.keys() == {name}
        assert (wrong[name].verdict, bool(wrong[name].advice)) == ("WRONG", True)

    @pytest.mark.parametrize(
        ("facts", "names"),
        [
            ({"versioning": None}, {"Versioning"}),
            ({"object_lock": None}, {"Object Lock", "Default retention"}),
            ({"encryption": None}, {"Encryption"}),
            ({"replication": None}, {"Replication"}),
            ({"public_access_block": None}, {"Public access"}),
        ],
    )
    def test_are_not_known_where_s3_does_not_tell(self, facts, names):
        found = verdicts(replace(GOOD, **facts))
        assert {name for name, verdict in found.items() if verdict == "UNKNOWN"} == names
        assert {verdict for name, verdict in found.items() if name not in names} == {"RIGHT"}

    @pytest.mark.parametrize(
        ("found", "wanted", "verdict"),
        [
            (KEY, "0a1b", "RIGHT"),
            (KEY, "a1b", "WRONG"),
            (KEY.replace("key/0a1b", "alias/registry"), "alias/registry", "RIGHT"),
            (KEY, "alias/registry", "UNKNOWN"),
            (KEY.replace("key/0a1b", "alias/registry"), KEY, "UNKNOWN"),
        ],
    )
    def test_know_a_key_by_address_id_or_alias(self, found, wanted, verdict):
        assert verdicts(replace(GOOD, kms_key=found), wanted)["Encryption"] == verdict


class TestEncryptionOfAnObject:
    STORED = StoredObject("k", 1, "v", None, "aws:kms", KEY, True, "COMPLETED")

    @pytest.mark.parametrize("wanted", [KEY, "0a1b", "alias/registry", ""])
    def test_is_right_by_address_id_or_alias(self, wanted):
        assert encryption_problem(self.STORED, wanted) == ""

    @pytest.mark.parametrize(
        ("facts", "words"),
        [
            ({"encryption": "AES256"}, "found AES256"),
            ({"kms_key": KEY + "c"}, "found arn"),
            ({"bucket_key": False}, "bucket key"),
        ],
    )
    def test_is_wrong_by_what_s3_tells(self, facts, words):
        assert words in encryption_problem(replace(self.STORED, **facts), KEY)

    def test_is_kept_as_not_told_where_one_object_is(self):
        silent = replace(self.STORED, encryption="", replication="", bucket_key=None)
        assert encryption_problem(silent, KEY) == ""
        kept = protection([self.STORED, silent])
        assert kept["encryption"] == ["", "aws:kms"]
        assert kept["replication"] == ["", "COMPLETED"]
