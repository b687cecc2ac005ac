"""The Secret with the keys that the engines of a namespace take, one in each of the two namespaces.

On EKS an External Secret brings it from Vault (deploy/vault/engine-key.yaml); here it is made of
the stack's own files, which the product's processes read.
"""

from __future__ import annotations

import base64
from typing import Any

from deploy.local.stack import credentials
from deploy.local.stack.part import Context

Json = dict[str, Any]
NAMESPACES = ("models", "evals")
NAME = "engine-key"
SHOWN, FORMER, NEXT = "apiKey", "formerKey", "nextKey"


def objects(context: Context) -> list[Json]:
    """Return the Secrets. No key came before the first one, so that place is empty."""
    return [_secret(context, namespace) for namespace in NAMESPACES]


def _secret(context: Context, namespace: str) -> Json:
    keys = {
        which: credentials.engine_key_file(context, namespace, which).read_bytes()
        for which in (SHOWN, NEXT)
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": namespace},
        "type": "Opaque",
        "data": {name: base64.b64encode(key).decode() for name, key in keys.items()} | {FORMER: ""},
    }
