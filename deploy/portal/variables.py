"""The product's variables as the chart's values: their schema, read from portal/settings.py.

`python -m deploy.portal.variables` says whether values.schema.json is up to date, `--write` brings
it up to date. Settings are read as text, so that neither Django nor an environment is needed. What
is secret is a file in a pod and never a value; what the chart sets itself is neither.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / "portal" / "settings.py"
SCHEMA = Path(__file__).parent / "chart" / "values.schema.json"

# readers that take a secret, from NAME or from the file that NAME_FILE names
SECRET_READERS = {"env_secret", "env_broker", "env_database", "env_store", "env_mail"}
# Addresses that may hold a login: values where they hold none, else secrets.
ADDRESSES = {"GITOPS_REMOTE", "REDIS_URL"}
WITH_LOGIN = "://[^/@]*:[^/@]*@"
# What is a file for another reason than that it is secret: where it lies is a value.
PLAIN_FILES = {"NOTICE_FILE", "USAGE_LOG_FILE"}
# What the chart sets itself, and by what.
OWN = {
    "DEBUG": "nothing: it is off wherever the chart is installed",
    "ENGINE_KEY_FILE": "engineKeys: each namespace's engines have another key",
    "GITOPS_WORKDIR": "an empty folder of the pod",
    "GATE_LISTEN": "the port of the gate's Service",
    "GATE_HEALTH_LISTEN": "the port of the gate's probes",
    "GATE_TLS_FOLDER": "gate.certificate",
    "GATE_PROCESSES": "one: copies are pods",
    "KUBECONFIG": "nothing: each pod has a service account",
    "CLUSTER_HTTP_PROXY": "nothing: a cluster has a DNS",
    "VAULT_TOKEN_FILE": "the token that Vault's agent keeps",
    "VAULT_ROLE": "vault.role: Vault's agent logs in",
    "VAULT_AUTH_MOUNT": "vault.authPath: Vault's agent logs in",
    "VAULT_JWT_FILE": "vault.audience: Vault's agent logs in",
}
# What boto3 reads itself.
OF_LIBRARIES: dict[str, Json] = {
    "AWS_REGION": {"type": "string", "pattern": "^[a-z]{2}(-[a-z]+)+-[0-9]$"},
    "AWS_ENDPOINT_URL_S3": {"type": "string", "pattern": "^https?://\\S+$"},
}
# What has a default in settings that is the local stack's, and no cluster's.
NEEDED_TOO = {"AWS_REGION", "ENVIRONMENT_NAME", "PORTAL_URL", "SERVING_IMAGE"}
NEEDED_BY_READER = {"env_str", "env_secret", "env_url", "env_broker", "env_database"}

TEXT: Json = {"type": "string"}
PATTERNS = {
    "env_image": "^[^\\s@]+@sha256:[0-9a-f]{64}$",
    "env_issuer": "^https?://\\S+$",
    "env_percents": "^[0-9]+(, *[0-9]+)*$",
    "env_role_rule": "^arn:[a-z-]+:iam::[0-9]{12}:role/\\S*\\{model\\}$",
    "env_zone": "^[A-Za-z0-9_+/-]+$",
}


@dataclass(frozen=True)
class Variable:
    """One variable that settings read. schema: what a value of it may be, as JSON Schema.
    is_address: it may be a value or a secret.
    """

    name: str
    schema: Json
    is_secret: bool
    is_needed: bool
    is_address: bool = False


def variables(text: str | None = None) -> list[Variable]:
    """Return every variable of the product, by name. text: of the settings, else the file's."""
    tree = ast.parse(SETTINGS.read_text() if text is None else text)
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    found = {one.name: one for one in _read(tree, constants)}
    for name, schema in OF_LIBRARIES.items():
        found[name] = Variable(name, schema, is_secret=False, is_needed=name in NEEDED_TOO)
    return [found[name] for name in sorted(found)]


def _read(tree: ast.Module, constants: dict[str, ast.expr]) -> Iterator[Variable]:
    """Yield what each call of a reader says, `env_int("NAME", 7, minimum=1)`."""
    conditional = {
        call for node in ast.walk(tree) if isinstance(node, ast.IfExp) for call in ast.walk(node)
    }
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args):
            continue
        reader, first = call.func.id, call.args[0]
        if not (reader.startswith("env_") and isinstance(first, ast.Constant)):
            continue
        name = str(first.value)
        is_file = name.endswith("_FILE") and name not in PLAIN_FILES
        is_secret = is_file or reader in SECRET_READERS
        is_address = name in ADDRESSES or (is_secret and name.endswith("_URL"))
        has_default = len(call.args) > 1 or reader not in NEEDED_BY_READER or call in conditional
        schema = TEXT | {"not": {"pattern": WITH_LOGIN}}
        yield Variable(
            name,
            schema if is_address else _schema(reader, call, constants),
            is_secret=is_secret,
            is_needed=not has_default or name in NEEDED_TOO,
            is_address=is_address,
        )
        for keyword in call.keywords:  # a password that is not in the address
            if keyword.arg == "beside" and isinstance(keyword.value, ast.Constant):
                yield Variable(str(keyword.value.value), TEXT, is_secret=True, is_needed=False)


def _schema(reader: str, call: ast.Call, constants: dict[str, ast.expr]) -> Json:
    named = {keyword.arg: _literal(keyword.value, constants) for keyword in call.keywords}
    if reader == "env_bool":
        return {"type": "boolean"}
    if reader == "env_int":
        most = named.get("maximum")
        least = {"type": "integer", "minimum": named.get("minimum") or 0}
        return least if most is None else least | {"maximum": most}
    if reader == "env_decimal":
        return {"type": "number", "minimum": 0}
    if reader == "env_choice":
        choices = _literal(call.args[2], constants)
        return {"enum": list(choices)} if choices else {"type": ["string", "integer"]}
    if reader == "env_url":
        schemes = "|".join(named.get("schemes") or ("https?",))
        return TEXT | {"pattern": f"^({schemes})://\\S+$"}
    return TEXT | ({"pattern": PATTERNS[reader]} if reader in PATTERNS else {})


def _literal(node: ast.expr, constants: dict[str, ast.expr]) -> Any:
    """Return what is written there, or behind the name that is; None where it is worked out."""
    if isinstance(node, ast.Name) and node.id in constants:
        node = constants[node.id]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def definitions(found: list[Variable]) -> Json:
    """Return the two parts of the chart's schema that follow from the variables."""
    ours = [one for one in found if one.name not in OWN]
    plain = [one for one in ours if one.is_address or not one.is_secret]
    secret = [one for one in ours if one.is_address or one.is_secret]
    return {
        "variables": _object(plain, {one.name: one.schema for one in plain}),
        "secrets": _object(secret, {one.name: {"$ref": "#/$defs/secret"} for one in secret}),
        # of each of these one is needed; the templates say which is missing
        "addresses": {"enum": [one.name for one in ours if one.is_address and one.is_needed]},
    }


def _object(found: list[Variable], properties: Json) -> Json:
    needed = [one.name for one in found if one.is_needed and not one.is_address]
    return {
        "type": "object",
        "additionalProperties": False,
        "required": needed,
        "properties": properties,
    }


def current(schema: str, found: list[Variable]) -> str:
    """Return the chart's schema as it ought to be; what is written by hand in it stays."""
    known = json.loads(schema)
    known["$defs"] |= definitions(found)
    return json.dumps(known, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Compare the chart's schema with the settings, or write it; 1 where they differ."""
    parser = argparse.ArgumentParser(prog="python -m deploy.portal.variables", description=__doc__)
    parser.add_argument("--write", action="store_true", help="bring values.schema.json up to date")
    options = parser.parse_args(arguments)
    before = SCHEMA.read_text()
    after = current(before, variables())
    if before == after:
        return 0
    if options.write:
        SCHEMA.write_text(after)
        return 0
    print("values.schema.json is not what portal/settings.py says: run with --write.")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
