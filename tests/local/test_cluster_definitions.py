"""The cluster's custom resource definitions: lean, complete, and the project's own no laxer than
the real ones.
"""

import json
from pathlib import Path

import pytest
import yaml

from deploy.local.cluster import definitions

REAL = Path(__file__).parents[3] / "shared" / "crds" / "envoy-ai-gateway"
needs_real = pytest.mark.skipif(
    not REAL.exists(), reason="the real definitions are not on this machine"
)
OWN = sorted(definitions.OWN.glob("*.yaml"))


def schema_of(document: dict, version: str = "v1beta1") -> dict:
    found = next(entry for entry in document["spec"]["versions"] if entry["name"] == version)
    return found["schema"]["openAPIV3Schema"]


def assert_no_laxer(own: dict, real: dict, path: str) -> None:
    """Every field of ours exists in the real schema, with its type, its choices, its defaults and
    its limits.
    """
    for key in (
        "type",
        "enum",
        "default",
        "required",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "maxItems",
    ):
        mine, theirs = own.get(key), real.get(key)
        if key == "enum" and mine and theirs:
            assert set(mine) <= set(theirs), path
        elif key == "required":
            assert set(mine or []) == set(theirs or []), path
        else:
            assert mine == theirs, f"{path}: {key}"
    for name, field in own.get("properties", {}).items():
        assert name in real["properties"], f"{path}.{name} is not a field of the real kind"
        assert_no_laxer(field, real["properties"][name], f"{path}.{name}")
    if "items" in own:
        assert_no_laxer(own["items"], real["items"], f"{path}[]")


class TestWithoutDescriptions:
    def test_drops_documentation(self):
        schema = {
            "type": "object",
            "description": "What it is.",
            "items": {"description": "x", "type": "string"},
        }
        assert definitions.without_descriptions(schema) == {
            "type": "object",
            "items": {"type": "string"},
        }

    def test_keeps_a_field_that_is_named_description(self):
        schema = {"properties": {"description": {"type": "string", "description": "A text."}}}
        assert definitions.without_descriptions(schema) == {
            "properties": {"description": {"type": "string"}}
        }

    def test_keeps_defaults_as_they_are(self):
        schema = {"default": {"description": "none"}}
        assert definitions.without_descriptions(schema) == schema


class TestOwnDefinitions:
    @pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
    @needs_real
    def test_take_nothing_that_the_real_kind_refuses(self, path):
        own = yaml.safe_load(path.read_text())
        real = yaml.safe_load((REAL / f"aigateway.envoyproxy.io_{path.name}").read_text())
        assert own["spec"]["names"] == real["spec"]["names"]
        assert own["spec"]["scope"] == real["spec"]["scope"]
        mine, theirs = schema_of(own)["properties"], schema_of(real)["properties"]
        assert_no_laxer(mine["spec"], theirs["spec"], "spec")
        assert_no_laxer(mine["status"], theirs["status"], "status")

    def test_are_the_kinds_of_the_ai_gateway(self):
        assert {path.stem for path in OWN} == {
            "aigatewayroutes",
            "aiservicebackends",
            "backendsecuritypolicies",
        }


class TestCompileTo:
    def test_writes_one_object_a_line(self, tmp_path, monkeypatch):
        monkeypatch.setattr(definitions, "FILES", {})
        target = tmp_path / "definitions.jsonl"
        definitions.compile_to(tmp_path, target)
        kinds = [
            json.loads(line)["spec"]["names"]["kind"] for line in target.read_text().splitlines()
        ]
        assert kinds == ["AIGatewayRoute", "AIServiceBackend", "BackendSecurityPolicy"]
