"""The gateway's objects as tests write them: one model's route, versions and policies, and the pods
behind them.
"""

from __future__ import annotations

import base64
from typing import Any

from apps.manifests.gateway import Issuer, security_policy
from apps.manifests.gateway import key_policy as product_key_policy

Json = dict[str, Any]
AUDIENCE = "quartermaster-gateway"
ISSUER = "http://idp.test"
# the condition that the product writes into every rule
WHOLE_TOKEN = security_policy(model="m", issuer=Issuer(ISSUER, f"{ISSUER}/jwks"), teams=["team"])[
    "spec"
]["authorization"]["rules"][0]["cel"]


def pod(name: str, port: int, *, namespace: str = "models", ready: bool = True) -> list[Json]:
    """Return a Service with one pod behind it that really listens on a loopback port."""
    meta = {"namespace": namespace, "name": f"{name}-predictor"}
    labels = {"kubernetes.io/service-name": f"{name}-predictor"}
    endpoint = {
        "addresses": ["10.244.0.9"],
        "conditions": {"ready": ready},
        "targetRef": {"kind": "Pod", "name": name, "namespace": namespace},
    }
    slice_meta = {"namespace": namespace, "name": f"{name}-x", "labels": labels}
    listen = {"quartermaster.dev/listen": f"127.0.0.1:{port}"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{"name": "http", "port": 80}]},
        },
        {
            "kind": "EndpointSlice",
            "metadata": slice_meta,
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [endpoint],
        },
        {"kind": "Pod", "metadata": {"namespace": namespace, "name": name, "annotations": listen}},
    ]


OPENAI, COHERE = {"name": "OpenAI", "prefix": "/v1"}, {"name": "Cohere", "version": "v2"}


def version(name: str, *, host: str = "", schema: Json = OPENAI) -> list[Json]:
    """Return one model version's AIServiceBackend and Backend. schema: COHERE for a reranker."""
    meta = {"namespace": "models", "name": name}
    fqdn = {"hostname": host or f"{name}-predictor.models.svc.cluster.local", "port": 80}
    ref = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name}
    return [
        {
            "kind": "AIServiceBackend",
            "metadata": meta,
            "spec": {"schema": dict(schema), "backendRef": ref},
        },
        {"kind": "Backend", "metadata": meta, "spec": {"endpoints": [{"fqdn": fqdn}]}},
    ]


def secret(key: str, *, name: str = "engine-key", **more: str) -> Json:
    """Return the Secret whose key the gateway shows to engines."""
    data = {"apiKey": key} | more
    return {
        "kind": "Secret",
        "metadata": {"namespace": "models", "name": name},
        "data": {field: base64.b64encode(value.encode()).decode() for field, value in data.items()},
    }


def key_policy(name: str) -> Json:
    """Return the BackendSecurityPolicy of a version, whose name has the form `model-v1`."""
    model, _, number = name.rpartition("-v")
    return product_key_policy(model=model, number=int(number))


def route(model: str, weights: dict[str, int], limit_cost: str = "total_tokens") -> Json:
    """Return a model's AIGatewayRoute. limit_cost: in CEL."""
    kinds = {
        "llm_input_token": "InputToken",
        "llm_cached_input_token": "CachedInputToken",
        "llm_output_token": "OutputToken",
        "llm_total_token": "TotalToken",
    }
    refs = [
        {"name": name, "weight": weight, "modelNameOverride": name}
        for name, weight in weights.items()
    ]
    header = {"type": "Exact", "name": "x-ai-eg-model", "value": model}
    return {
        "kind": "AIGatewayRoute",
        "metadata": {"namespace": "models", "name": model, "generation": 1},
        "spec": {
            "parentRefs": [{"kind": "Gateway", "name": "ai-gateway", "namespace": "ai-gateway"}],
            "rules": [{"matches": [{"headers": [header]}], "backendRefs": refs}],
            "llmRequestCosts": [
                *({"metadataKey": key, "type": kind} for key, kind in kinds.items()),
                {"metadataKey": "llm_limit_token", "type": "CEL", "cel": limit_cost},
            ],
        },
    }


def policy(
    model: str,
    budgets: dict[str, int],
    *,
    jwks: str = "http://idp.test/jwks",
    unit: str = "Minute",
    asleep: Json | None = None,
    limit_key: str = "llm_total_token",
) -> list[Json]:
    """Return a model's SecurityPolicy and BackendTrafficPolicy: who may call, and for how many
    tokens.

    limit_key: what is counted of a call.
    asleep: the response that replaces Envoy's own 503 ("response" of a responseOverride).
    """
    target = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": model}]
    claims = {"team": "x-team", "cost_center": "x-cost-center", "sub": "x-user-id"}
    provider = {
        "name": "idp",
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "remoteJWKS": {"uri": jwks},
        "claimToHeaders": [{"claim": claim, "header": header} for claim, header in claims.items()],
    }
    allowed = [
        {
            "name": f"team-{team}",
            "action": "Allow",
            "principal": {
                "jwt": {"provider": "idp", "claims": [{"name": "team", "values": [team]}]}
            },
            "cel": WHOLE_TOKEN,
        }
        for team in budgets
    ]
    spent = {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": limit_key}}
    limits = [
        {
            "clientSelectors": [
                {
                    "headers": [
                        {"type": "Exact", "name": "x-team", "value": team},
                        {"type": "Exact", "name": "x-ai-eg-model", "value": model},
                    ]
                }
            ],
            "limit": {"requests": tokens, "unit": unit},
            "cost": {"request": {"from": "Number", "number": 0}, "response": spent},
        }
        for team, tokens in budgets.items()
    ]
    meta = {"namespace": "models", "name": model, "generation": 1}
    security = {
        "targetRefs": target,
        "jwt": {"providers": [provider]},
        "authorization": {"defaultAction": "Deny", "rules": allowed},
    }
    return [
        {"kind": "SecurityPolicy", "metadata": meta, "spec": security},
        {
            "kind": "BackendTrafficPolicy",
            "metadata": meta,
            "spec": {
                "targetRefs": target,
                "rateLimit": {"global": {"rules": limits}},
                **_override(asleep),
            },
        },
    ]


def _override(response: Json | None) -> Json:
    if response is None:
        return {}
    match = {"statusCodes": [{"type": "Value", "value": 503}]}
    return {"responseOverride": [{"match": match, "source": "Local", "response": response}]}
