"""The Terraform, by OpenTofu and checkov: it is valid, keeps each promise, and whoever breaks one
is told so. No cloud is asked: what only a plan with the real provider shows is in
deploy/terraform/README.md.
"""

import json
import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from deploy.terraform.checking import needs
from deploy.terraform.checking.schemas import NoSuchType, read
from deploy.terraform.checking.workspace import TERRAFORM, Workspace, mirror, types_used

CHECKOV = TERRAFORM.parent.parent / ".venv-checkov" / "bin" / "checkov"
PLACES = sorted(
    str(folder.relative_to(TERRAFORM))
    for kind in ("environments", "modules")
    for folder in (TERRAFORM / kind).iterdir()
)
UNTESTED = ("modules/region",)  # modules/platform tests two of it
# What is checked by checkov as well, each for a reason that stands in its own name; the rest of its
# checks are read by people.
CHECKS = (
    "CKV_AWS_17", "CKV_AWS_19", "CKV_AWS_20", "CKV_AWS_21", "CKV_AWS_24", "CKV_AWS_25",
    "CKV_AWS_27", "CKV_AWS_29", "CKV_AWS_30", "CKV_AWS_33", "CKV_AWS_35", "CKV_AWS_36",
    "CKV_AWS_37", "CKV_AWS_38", "CKV_AWS_39", "CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55",
    "CKV_AWS_56", "CKV_AWS_58", "CKV_AWS_60", "CKV_AWS_61", "CKV_AWS_62", "CKV_AWS_63",
    "CKV_AWS_67", "CKV_AWS_70", "CKV_AWS_79", "CKV_AWS_96", "CKV_AWS_130", "CKV_AWS_145",
    "CKV_AWS_158", "CKV_AWS_162", "CKV_AWS_191", "CKV_AWS_260", "CKV_AWS_277", "CKV_AWS_286",
    "CKV_AWS_287", "CKV_AWS_288", "CKV_AWS_289", "CKV_AWS_290", "CKV_AWS_327", "CKV_AWS_338",
    "CKV_AWS_341", "CKV_AWS_355", "CKV2_AWS_6", "CKV2_AWS_11", "CKV2_AWS_12", "CKV2_AWS_64",
)  # fmt: skip

pytestmark = [pytest.mark.delivery, pytest.mark.timeout(900)]
by_tofu = pytest.mark.skipif(
    bool(needs.lacking(os.environ)), reason=needs.lacking(os.environ) or "-"
)
by_checkov = pytest.mark.skipif(not CHECKOV.exists(), reason="make .venv-checkov/.ready")


@pytest.fixture(scope="module")
def terraform(tmp_path_factory):
    """A copy in which OpenTofu works, every folder of it initialized."""
    folder = tmp_path_factory.mktemp("terraform")
    made = Workspace.made(folder / "copy", mirror(folder / "mirror", os.environ), os.environ)
    for place in PLACES:
        code, said = made.run(place, "init", "-backend=false", "-input=false")
        assert code == 0, said
    return made


@contextmanager
def broken(terraform, file, old, new):
    """Replace a text for as long as it takes to see who notices."""
    before = (terraform.root / file).read_text()
    terraform.change(file, old, new)
    try:
        yield
    finally:
        (terraform.root / file).write_text(before)


def flat(words):
    """Return text without the line breaks that a terminal's width makes."""
    return " ".join(words.split())


@by_tofu
class TestTerraform:
    def test_is_formatted(self, terraform):
        code, said = terraform.run(".", "fmt", "-check", "-recursive", "-diff")
        assert code == 0, said

    @pytest.mark.parametrize("place", PLACES)
    def test_says_nothing_that_its_provider_does_not_know(self, terraform, place):
        code, said = terraform.run(place, "validate")
        assert code == 0, said

    @pytest.mark.parametrize("place", [place for place in PLACES if place not in UNTESTED])
    def test_keeps_its_promises(self, terraform, place):
        code, said = terraform.run(place, "test")
        assert code == 0, said
        assert "0 failed" in said
        assert "Success! 0 passed" not in said

    def test_plans_nothing_with_a_provider_that_knows_its_schema_only(self, terraform):
        code, said = terraform.run("modules/quotas", "plan", "-var", "vcpus={g_spot=8}")
        assert code != 0
        assert "knows its schema only" in flat(said)


@by_tofu
class TestBroken:
    @pytest.mark.parametrize(
        ("place", "file", "old", "new", "words"),
        [
            (
                "modules/cluster", "modules/cluster/main.tf", "endpoint_public_access  =",
                "endpoint_publik_access  =",
                '"endpoint_publik_access" is not expected here. Did you mean "endpoint_public_acc',
            ),
            (
                "modules/cluster", "modules/cluster/main.tf",
                "  role_arn                      = aws_iam_role.cluster.arn\n", "",
                'The argument "role_arn" is required',
            ),
            (
                "modules/bucket", "modules/bucket/main.tf", "days = var.retention_days",
                'days = "a year"', "a number is required",
            ),
            (
                "modules/data", "modules/data/main.tf", "aws_rds_cluster.this.engine\n",
                "aws_rds_cluster.this.engines\n", "has no argument, nested block, or exported",
            ),
            (
                "modules/network", "modules/network/logs.tf", "  max_aggregation_interval = 60\n",
                "  aggregation {}\n", 'Blocks of type "aggregation" are not expected here',
            ),
            (
                "environments/production", "environments/production/main.tf",
                "  owner_password     = var.owner_password\n", "",
                'The argument "owner_password" is required',
            ),
        ],
    )  # fmt: skip
    def test_is_refused_where_the_provider_would_not_know_it(
        self, terraform, place, file, old, new, words
    ):
        with broken(terraform, file, old, new):
            code, said = terraform.run(place, "validate")
        assert code == 1
        assert words in flat(said)

    @pytest.mark.parametrize(
        ("place", "file", "old", "new", "words"),
        [
            (
                "modules/bucket", "modules/bucket/main.tf", "block_public_policy     = true",
                "block_public_policy     = false", "The bucket can be made public.",
            ),
            (
                "modules/bucket", "modules/bucket/main.tf", 'mode = "COMPLIANCE"',
                'mode = "GOVERNANCE"', "A lock can be lifted before its time.",
            ),
            (
                "modules/bucket", "modules/bucket/main.tf", "bucket_key_enabled = true",
                "bucket_key_enabled = false", "not encrypted by the bucket's key of KMS",
            ),
            (
                "modules/cluster", "modules/cluster/main.tf", "endpoint_public_access  = false",
                "endpoint_public_access  = true", "The API answers the internet.",
            ),
            (
                "modules/readers", "modules/readers/main.tf",
                '"s3:GetObject", "s3:GetObjectVersion"', '"s3:*"', "Name every action",
            ),
            (
                "modules/readers", "modules/readers/main.tf", '"${bucket.arn}/${each.value}/*"',
                '"${bucket.arn}/*"', "reads more than its own prefix",
            ),
            (
                "modules/readers", "modules/readers/main.tf", ":reader-${each.value}", ":*",
                "A pattern would let in others.",
            ),
            (
                "modules/account_role", "modules/account_role/main.tf",
                '"${issuer.host}:aud" = "sts.amazonaws.com"\n', "\n",
                "not held to its subject and audience",
            ),
            (
                "modules/account_role", "modules/account_role/main.tf", "StringEquals",
                "StringLike", "without an exact match of a token's claims",
            ),
            (
                "modules/data", "modules/data/main.tf",
                'name         = "rds.force_ssl"\n    value        = "1"',
                'name         = "rds.force_ssl"\n    value        = "0"',
                "takes connections without TLS",
            ),
            (
                "modules/data", "modules/data/cache.tf", "  kms_key_id                 = "
                "var.cache_key_arn\n", "", "Valkey's disk is not encrypted by our key.",
            ),
            (
                "modules/keys", "modules/keys/main.tf",
                'AWS = "arn:aws:iam::${var.account_id}:root"', 'AWS = "*"',
                "Somebody outside this account may use a key.",
            ),
            (
                "modules/identity", "modules/identity/main.tf", 'audit   = local.reads\n',
                'audit   = local.uploads\n', "Others than the sealer write",
            ),
            (
                "modules/karpenter", "modules/karpenter/policy.tf",
                "Resource  = [var.node_role_arn]",
                'Resource  = ["arn:aws:iam::${var.account_id}:role/x"]',
                "A machine can be given another role.",
            ),
            (
                "environments/production", "environments/production/main.tf",
                "serving/models", "serving/modls", "No model lies there.",
            ),
        ],
    )  # fmt: skip
    def test_fails_the_promise_that_it_breaks(self, terraform, place, file, old, new, words):
        with broken(terraform, file, old, new):
            code, said = terraform.run(place, "test")
        assert code == 1
        assert words in flat(said)


@by_tofu
class TestSchemas:
    def test_know_all_that_is_used(self):
        found = read(needs.wheel(os.environ), types_used())
        assert len(found["resource_schemas"]) > 40
        cluster = found["resource_schemas"]["aws_eks_cluster"]["block"]
        assert cluster["attributes"]["role_arn"] == {"required": True, "type": "string"}
        assert cluster["block_types"]["vpc_config"]["max_items"] == 1

    def test_name_a_type_that_no_provider_has(self):
        with pytest.raises(NoSuchType, match="aws_eks_klaster"):
            read(needs.wheel(os.environ), ["aws_eks_klaster"])


def scanned(folder):
    """Return what checkov says of a folder: its exit code and its summary of named findings."""
    command = [
        str(CHECKOV), "-d", str(folder), "--framework", "terraform", "--quiet", "--compact",
        "--skip-download", "-o", "json", "--check", ",".join(CHECKS),
    ]  # fmt: skip
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    said = json.loads(answer.stdout)
    failed = said.get("results", {}).get("failed_checks", [])
    return answer.returncode, said["summary"], {each["check_id"] for each in failed}


@by_checkov
class TestCheckov:
    @pytest.fixture
    def copy(self, tmp_path):
        """Without the tests, which checkov takes for Terraform that it cannot read."""
        left_out = shutil.ignore_patterns("*.tftest.hcl", "*.py", "checking")
        return shutil.copytree(TERRAFORM, tmp_path / "copy", ignore=left_out)

    def test_finds_nothing(self, copy):
        code, summary, found = scanned(copy)
        assert found == set()
        assert (code, summary["parsing_errors"]) == (0, 0)
        assert summary["passed"] > 200

    @pytest.mark.parametrize(
        ("file", "old", "new", "check"),
        [
            (
                "bucket/main.tf", "block_public_acls       = true",
                "block_public_acls       = false", "CKV_AWS_53",
            ),
            (
                "network/endpoints.tf", "cidr_ipv4         = var.cidr",
                'cidr_ipv4         = "0.0.0.0/0"\n  from_port = 22\n  to_port = 22\n}\n'
                'resource "aws_vpc_security_group_ingress_rule" "more" {\n'
                "  security_group_id = aws_security_group.endpoints.id", "CKV_AWS_24",
            ),
            (
                "cluster/main.tf", "endpoint_public_access  = false",
                "endpoint_public_access  = true", "CKV_AWS_39",
            ),
            (
                "network/logs.tf",
                '["logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", '
                '"logs:PutLogEvents"]\n      Resource = [aws_cloudwatch_log_group.flows.arn, '
                '"${aws_cloudwatch_log_group.flows.arn}:*"]',
                '["*"]\n      Resource = ["*"]', "CKV_AWS_63",
            ),
        ],
    )  # fmt: skip
    def test_finds_what_is_broken(self, copy, file, old, new, check):
        path = copy / "modules" / file
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
        code, _, found = scanned(path.parent)
        assert (code, check in found) == (1, True), found
