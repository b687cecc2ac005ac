"""One of everything that is rendered, and everything that deploy/ ships for Argo CD and for the
platform.
"""

from dataclasses import replace
from pathlib import Path

import yaml

from apps.manifests import gateway, scaling, serving
from apps.manifests.serving_settings import ServingSettings

ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT.parent / "shared" / "crds"
DIGEST = "sha256:" + "a" * 64
MODEL = "prior-auth-extract"
VERSION = serving.ServedVersion(
    model=MODEL,
    number=7,
    name="prior-auth-extract-v7",
    namespace="models",
    storage_uri="s3://model-registry/prior-auth-extract/v7/",
    manifest_digest=DIGEST,
)
SLEEPER = replace(VERSION, serving_class=serving.ServingClass.SCALE_TO_ZERO)
# of four GPUs, between two and six replicas
LARGE = replace(
    VERSION,
    settings=ServingSettings(
        gpus=4,
        tensor_parallelism=4,
        cpu="24",
        memory="180Gi",
        shm="16Gi",
        replicas_least=2,
        replicas_most=6,
        concurrency_target=24,
        engine_args={"--max-num-seqs": "256", "--enforce-eager": ""},
        drain_seconds=60,
        pre_stop_seconds=15,
        priority_scheduling=True,
        prefix_caching=False,
        quantization="fp8",
        instance_types=("g6e.24xlarge", "g6e.12xlarge"),
    ),
)
SCALING = scaling.Scaling(demand_url="http://portal.quartermaster.svc/v1/scaling")
OFFICE_HOURS = scaling.pre_warm_of("mon-fri 07:30-19:00 America/New_York")
ISSUER = gateway.Issuer(issuer="http://127.0.0.1:8090", jwks_uri="http://127.0.0.1:8090/jwks.json")
LIMIT_COST = "input_tokens - cached_input_tokens + output_tokens * 3u"
ANSWERS = gateway.Answers(retry_after=45, portal_url="https://portal.test")
LIMIT = gateway.TeamLimit("claims-review", 2000)
GATEWAY = {"gateway_name": "ai-gateway", "gateway_namespace": "ai-gateway"}
SHIPPED = (
    "deploy/argocd/*.yaml",
    "deploy/argocd/platform/networkpolicies.yaml",
    "deploy/gateway/*.yaml",
    "deploy/karpenter/*.yaml",
    "deploy/karpenter/local/*.yaml",
    "deploy/serving/*.yaml",
)


def rendered():
    """Return one of everything that the portal commits."""
    return [
        serving.inference_service(VERSION),
        serving.inference_service(SLEEPER),
        scaling.scaled_object(SLEEPER, SCALING),
        scaling.scaled_object(SLEEPER, replace(SCALING, pre_warm=OFFICE_HOURS)),
        serving.inference_service(LARGE),
        scaling.scaled_object(LARGE, SCALING),
        scaling.scaled_object(LARGE, replace(SCALING, prometheus_url="http://prometheus:9090")),
        serving.serving_runtime(
            "models", "vllm/vllm-openai:v0.32.0", name=LARGE.name, settings=LARGE.settings
        ),
        *serving.service_accounts(MODEL, "arn:aws:iam::1:role/reads-{model}", "http://127.0.0.1:9"),
        serving.serving_runtime("models", "vllm/vllm-openai:v0.32.0"),
        serving.serving_runtime("models", "vllm/vllm-openai:v0.33.0", 60, name=VERSION.name),
        gateway.route(
            model=MODEL,
            weights=[gateway.Weight(7, 100), gateway.Weight(6, 0)],
            limit_cost=LIMIT_COST,
            **GATEWAY,
        ),
        gateway.route(model=MODEL, weights=[gateway.Weight(7, 100)], **GATEWAY),
        gateway.route(
            model=MODEL,
            weights=[gateway.Weight(7, 90, by_priority=True), gateway.Weight(6, 10)],
            **GATEWAY,
        ),
        *gateway.backend_objects(model=MODEL, number=7),
        gateway.key_policy(model=MODEL, number=7),
        gateway.security_policy(model=MODEL, issuer=ISSUER, teams=["claims-review", "prior-auth"]),
        gateway.security_policy(model=MODEL, issuer=ISSUER, teams=[]),
        gateway.traffic_policy(model=MODEL, limits=[LIMIT], answers=ANSWERS),
        gateway.traffic_policy(model=MODEL, limits=[LIMIT], answers=ANSWERS, limit_cost=LIMIT_COST),
        gateway.traffic_policy(model=MODEL, limits=[], answers=ANSWERS),
    ]


def shipped(patterns=SHIPPED):
    """Return the manifests that people review: Argo CD's projects and Applications, the gateway,
    the node pools, the loader.
    """
    paths = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    return [
        manifest for path in paths for manifest in yaml.safe_load_all(path.read_text()) if manifest
    ]


def named(manifest):
    """Return a manifest's kind and name, for a test's id."""
    return f"{manifest['kind']}-{manifest['metadata']['name']}"
