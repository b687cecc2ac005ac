"""What the portal renders for five models, through its own functions, and what it ships for the
gateway itself.

`steady` splits its callers between two versions, `tried` sends none to its candidate yet and counts
calls by a cost in CEL, `sleeper` has no replica, `closed` was granted to nobody, and
the backend of `ranker` is made one of Cohere's schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from apps.manifests import gateway
from apps.manifests.gateway import Answers, Issuer, TeamLimit, Weight
from apps.manifests.names import (
    ENGINE_KEY,
    ENGINE_KEY_FORMER,
    ENGINE_KEY_NEXT,
    ENGINE_KEY_SHOWN,
)
from apps.manifests.names import (
    MODELS as NAMESPACE,
)
from apps.manifests.policy import render_policy

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
ISSUER = Issuer("http://idp.test", "http://idp.test/jwks.json")
ANSWERS = Answers(retry_after=30, portal_url="https://portal.test")
SHOWN = "key-of-the-engines"
GRANTED = [TeamLimit("claims-review", 1000), TeamLimit("research", 20)]
# model: (weights by version, grants, what a call counts against its limit)
MODELS: dict[str, tuple[dict[int, int], list[TeamLimit], str]] = {
    "steady": ({1: 70, 2: 30}, GRANTED, gateway.WHOLE_COST),
    "tried": (
        {2: 0, 1: 100},
        GRANTED,
        "input_tokens - cached_input_tokens + output_tokens * uint(4)",
    ),
    "sleeper": ({1: 100}, GRANTED, gateway.WHOLE_COST),
    "closed": ({1: 100}, [], gateway.WHOLE_COST),
    "ranker": ({1: 100}, GRANTED, gateway.WHOLE_COST),
}
# what the portal does not render: a backend that reranks
COHERE = {"name": "Cohere", "version": "v2"}


def shipped() -> list[Json]:
    """Return the objects of `deploy/gateway`."""
    return [
        obj
        for path in sorted((ROOT / "deploy" / "gateway").glob("*.yaml"))
        for obj in _read(path.read_bytes())
    ]


def rendered() -> list[Json]:
    """Return the objects of the four models, in an order in which no reference dangles."""
    return [obj for model in MODELS for obj in _model(model)]


def _model(model: str) -> list[Json]:
    weights, grants, limit_cost = MODELS[model]
    route = gateway.route(
        model=model,
        weights=[Weight(number, percent) for number, percent in weights.items()],
        gateway_name="ai-gateway",
        gateway_namespace="ai-gateway",
        limit_cost=limit_cost,
    )
    policy = render_policy(
        model=model, limits=grants, issuer=ISSUER, answers=ANSWERS, limit_cost=limit_cost
    )
    backends = [
        obj for number in weights for obj in gateway.backend_objects(model=model, number=number)
    ]
    if model == "ranker":
        backends[0]["spec"]["schema"] = COHERE
    keys = [gateway.key_policy(model=model, number=number) for number in weights]
    return [*_read(policy.text), *backends, *keys, route]


def engine_key() -> Json:
    """Return the Secret that the policies name."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": ENGINE_KEY, "namespace": NAMESPACE},
        "stringData": {
            ENGINE_KEY_SHOWN: SHOWN,
            ENGINE_KEY_FORMER: "former",
            ENGINE_KEY_NEXT: "next",
        },
    }


def _read(text: bytes) -> list[Json]:
    return [obj for obj in yaml.safe_load_all(text) if obj]
