"""The accounts by which engines read weights, as Terraform takes its list of models from them."""

import re
from pathlib import Path

import pytest

from apps.catalog.models import MODEL_NAME
from apps.manifests import names, serving
from apps.manifests.text import to_yaml

TERRAFORM = Path(__file__).parent.parent.parent / "deploy" / "terraform"
GITOPS = TERRAFORM / "checking" / "gitops"
RULE = "arn:aws:iam::111122223333:role/quartermaster-reads-{model}"
READERS = (TERRAFORM / "modules" / "readers" / "main.tf").read_text()


class TestTerraform:
    @pytest.mark.parametrize("model", ["claims-summary", "prior-auth-extract"])
    def test_is_checked_against_what_the_portal_commits(self, model):
        written = (GITOPS / names.account_path(model)).read_bytes()
        assert written == to_yaml(serving.service_accounts(model, RULE))

    def test_finds_the_models_where_the_portal_writes_them(self):
        for root in sorted((TERRAFORM / "environments").iterdir()):
            text = (root / "main.tf").read_text()
            (folder, pattern) = re.search(
                r'fileset\("\$\{var\.gitops\}/(.+)", "(.+)"\)', text
            ).groups()
            assert f"{folder}/{pattern}".replace("*", "m") == names.account_path("m")

    def test_trusts_the_accounts_that_the_portal_writes(self):
        (name,) = re.findall(r'"\$\{namespace\}:(.+)"\]', READERS)
        (namespaces,) = re.findall(r"for namespace in \[(.+?)\]", READERS)
        accounts = serving.service_accounts("m")
        assert {account["metadata"]["name"] for account in accounts} == {
            name.replace("${each.value}", "m")
        }
        assert [account["metadata"]["namespace"] for account in accounts] == [
            namespace.strip('" ') for namespace in namespaces.split(",")
        ]

    def test_takes_the_names_that_the_portal_lets_models_have(self):
        variables = (TERRAFORM / "modules" / "readers" / "variables.tf").read_text()
        (pattern,) = re.findall(r'regex\("(\^\[a-z\].+?)", model\)', variables)
        assert pattern.removesuffix("$") == MODEL_NAME.pattern.removesuffix(r"\Z")
