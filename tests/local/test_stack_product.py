"""What the product's processes are given, and what only one of them is."""

from apps.common.envelope import FileWrapper
from apps.common.signing import FileSigner, fingerprint, read_public_keys
from deploy.local.stack import product, vault
from tests.local.cluster_context import cluster_context

SIGNS = {"registry": "SIGNER", "sealer": "AUDIT_SIGNER"}
READS = ("portal", "gate")  # prompts: tokens that unwrap their keys, the gate's that make them, too


def environments(folder, **env):
    context = cluster_context(folder, **env)
    return {part.name: part.env for part in product.parts(context)}, context


class TestKeysThatSign:
    """The registry signs manifests, the sealer the record; nobody else has a way to either key."""

    def test_are_in_the_stacks_own_vault_and_each_token_is_one_process_s(self, tmp_path):
        given, context = environments(tmp_path)
        for name, env in given.items():
            assert ("VAULT_TOKEN_FILE" in env) == (name in {*SIGNS, *READS})
            assert not {"SIGNING_KEY_FILE", "AUDIT_SIGNING_KEY_FILE"} & env.keys()
        tokens = {given[name]["VAULT_TOKEN_FILE"] for name in (*SIGNS, *READS)}
        assert len(tokens) == 4
        for name, variable in SIGNS.items():
            assert given[name][variable] == "transit"
            assert given[name]["VAULT_ADDR"] == "http://127.0.0.1:8200"
        needs = {part.name: part.needs for part in product.parts(context)}
        assert {name for name in needs if "vault-keys" in needs[name]} == {*SIGNS, "gate"}
        assert [part.name for part in vault.parts(context)] == ["vault", "vault-keys"]
        assert not list(tmp_path.glob("secrets/*key*.pem"))

    def test_are_files_of_the_stack_where_that_is_asked_for(self, tmp_path):
        given, context = environments(tmp_path, SIGNER="file", AUDIT_SIGNER="file")
        assert vault.parts(context) == []
        assert {name for name, env in given.items() if "SIGNING_KEY_FILE" in env} == {"registry"}
        record = {name for name, env in given.items() if "AUDIT_SIGNING_KEY_FILE" in env}
        assert record == {"sealer"}
        for who, private in (
            ("registry", "SIGNING_KEY_FILE"),
            ("sealer", "AUDIT_SIGNING_KEY_FILE"),
        ):
            (public,) = read_public_keys(vault.public_keys(context, who).read_bytes())
            own = FileSigner.load(given[who][private]).public_key
            assert fingerprint(own) == fingerprint(public)

    def test_of_prompts_are_wrapped_in_a_file_where_nobody_uses_vault(self, tmp_path):
        given, context = environments(tmp_path, SIGNER="file", AUDIT_SIGNER="file")
        assert given["portal"]["PROMPT_KEYS"] == "file"
        assert FileWrapper.load(given["portal"]["PROMPT_KEY_FILE"])
        assert {name for name, env in given.items() if "PROMPT_KEY_FILE" in env} == set(READS)
        assert vault.prompt_environment(context, vault.GATE) == {
            "PROMPT_KEYS": "file", "PROMPT_KEY_FILE": given["portal"]["PROMPT_KEY_FILE"],
        }  # fmt: skip

    def test_of_prompts_is_the_file_that_is_named_for_those_alone_who_handle_them(self, tmp_path):
        theirs = {"PROMPT_KEYS": "file", "PROMPT_KEY_FILE": "/run/wrapping-key"}
        given, _ = environments(tmp_path, **theirs)
        found = {name: env.get("PROMPT_KEY_FILE") for name, env in given.items()}
        assert {name: file for name, file in found.items() if file} == dict.fromkeys(
            READS, "/run/wrapping-key"
        )

    def test_are_of_a_vault_that_is_named(self, tmp_path):
        theirs = {"VAULT_ADDR": "https://vault.example", "VAULT_TOKEN_FILE": "/run/token"}
        given, context = environments(tmp_path, **theirs)
        assert vault.parts(context) == []
        for name in SIGNS:
            assert {key: given[name][key] for key in theirs} == theirs

    def test_public_halves_are_everybody_s(self, tmp_path):
        given, _ = environments(tmp_path)
        for variable in ("AUDIT_PUBLIC_KEYS_FILE", "REGISTRY_PUBLIC_KEYS_FILE"):
            assert len({given[name][variable] for name in ("portal", "worker", *SIGNS)}) == 1


def test_rules_of_the_guard_reach_an_analyzer_that_is_named(tmp_path):
    theirs = {"PRESIDIO_URL": "http://127.0.0.1:3000", "PRESIDIO_TOKEN_FILE": "/run/token"}
    given, _ = environments(tmp_path, **theirs)
    assert {key: given["gate"].get(key) for key in theirs} == theirs
