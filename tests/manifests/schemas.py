"""The real CRDs' schemas with unknown fields refused, as `fieldValidation=Strict` does. Their CEL
rules are left to the API server (test_dry_run.py): they use its own extensions.
"""

from functools import cache

import jsonschema
import yaml

from tests.manifests.objects import CRDS

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def validate(manifest):
    """Raise ValidationError unless the manifest fits its CRD without an unknown field."""
    validator_of(manifest["apiVersion"], manifest["kind"]).validate(manifest)


@cache
def validator_of(api_version, kind):
    """Return the validator of a kind; a kind without a CRD is a failure."""
    group, _, version = api_version.rpartition("/")
    texts = (path.read_text() for path in CRDS.rglob(f"*{kind.lower()[:-1]}*.yaml"))
    # the large ones take a second to parse
    for text in (text for text in texts if f"    kind: {kind}\n" in text):
        for crd in yaml.load_all(text, Loader=LOADER):
            if crd and (crd["spec"]["group"], crd["spec"]["names"]["kind"]) == (group, kind):
                found = next(item for item in crd["spec"]["versions"] if item["name"] == version)
                return jsonschema.Draft202012Validator(
                    strict(_whole(found["schema"]["openAPIV3Schema"]))
                )
    raise AssertionError(f"no CRD of {kind}")


def strict(schema):
    """Return a structural schema as JSON Schema in which no object takes a field that it does not
    name.
    """
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: strict(value) for key, value in schema.items() if not key.startswith("x-kubernetes")
    }
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get(
        "x-kubernetes-embedded-resource"
    )
    if schema.get("type") == "object" and "properties" in schema and not free:
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made.pop("anyOf", None)
        made["type"] = ["integer", "string"]
    return made


def _whole(schema):
    """Return the schema with what every object has."""
    return schema | {"properties": dict(schema["properties"]) | {"metadata": {"type": "object"}}}
