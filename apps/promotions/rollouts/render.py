"""What each rollout step writes to Git: path → content, None removes. Pure; the same step gives the
same bytes.

SERVE starts the version beside the baseline and touches no route. SHIFT gives it its share of the
route; RETURN gives the route back to the baseline. RETIRE removes the baseline. REMOVE, after an
abort, gives the route back to what is live and removes the version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.conf import settings

from apps.accounts.provider import gateway_jwks_uri
from apps.catalog.models import ModelVersion
from apps.manifests import gateway, names, scaling, serving
from apps.manifests.policy import Policy, render_policy
from apps.manifests.serving_settings import USUAL, ServingSettings
from apps.manifests.text import to_yaml

Changes = dict[str, bytes | None]


@dataclass(frozen=True)
class Surroundings:
    """The settings that rendering needs."""

    bucket: str
    image: str
    role_arn: str
    s3_endpoint: str
    start_seconds: int
    gateway_name: str
    gateway_namespace: str
    issuer: gateway.Issuer
    answers: gateway.Answers
    scaling: scaling.Scaling
    limit_cost: str
    traces_endpoint: str = ""


def surroundings() -> Surroundings:
    """Return the surroundings that the settings name."""
    return Surroundings(
        bucket=settings.REGISTRY_BUCKET,
        image=settings.SERVING_IMAGE,
        role_arn=settings.REGISTRY_READER_ROLE_ARN,
        s3_endpoint=settings.SERVING_S3_ENDPOINT,
        start_seconds=settings.SERVING_START_SECONDS,
        gateway_name=settings.GATEWAY_NAME,
        gateway_namespace=settings.GATEWAY_NAMESPACE,
        issuer=gateway.Issuer(
            settings.OIDC_ISSUER, gateway_jwks_uri(), settings.OIDC_GATEWAY_AUDIENCE
        ),
        answers=gateway.Answers(settings.SCALING_RETRY_AFTER_SECONDS, settings.PORTAL_URL),
        scaling=scaling.Scaling(
            demand_url=settings.SCALING_URL,
            polling_seconds=settings.SCALING_POLL_SECONDS,
            cooldown_seconds=settings.SCALING_COOLDOWN_SECONDS,
            prometheus_url=settings.SCALING_PROMETHEUS_URL,
        ),
        limit_cost=settings.LIMIT_COST,
        traces_endpoint=settings.SERVING_TRACES_ENDPOINT,
    )


def serve(
    version: ModelVersion,
    around: Surroundings,
    serving_class: str,
    pre_warm: str = "",
    with_: ServingSettings = USUAL,
) -> Changes:
    """Return the files that start a version: the accounts that read its model's weights, and its
    own runtime, InferenceService and backends, and the key that its backend shows.

    One whose replicas come and go has a ScaledObject beside them. pre_warm: the hours in which a
    version that sleeps does not, "" for none. with_: its settings.
    """
    model, served = version.registered_model, served_version(version, around, serving_class, with_)
    objects = [
        serving.serving_runtime(
            names.MODELS,
            around.image,
            around.start_seconds,
            served.runtime,
            with_,
            around.traces_endpoint,
        ),
        serving.inference_service(served),
        *gateway.backend_objects(model=model.name, number=version.number),
        gateway.key_policy(model=model.name, number=version.number),
    ]
    if served.is_scaled:
        hours = scaling.pre_warm_of(pre_warm) if pre_warm else None
        objects.append(scaling.scaled_object(served, replace(around.scaling, pre_warm=hours)))
    return {
        **accounts(model.name, around),
        names.version_path(model.name, version.number): to_yaml(objects),
    }


def accounts(model: str, around: Surroundings) -> dict[str, bytes]:
    """Return the accounts by which all versions of a model read its weights."""
    made = serving.service_accounts(model, around.role_arn, around.s3_endpoint)
    return {names.account_path(model): to_yaml(made)}


def served_version(
    version: ModelVersion,
    around: Surroundings,
    serving_class: str,
    with_: ServingSettings = USUAL,
) -> serving.ServedVersion:
    """Return a version as its InferenceService has it. Needs its model loaded."""
    model = version.registered_model
    name = names.serving_name(model.name, version.number)
    return serving.ServedVersion(
        model=model.name,
        number=version.number,
        name=name,
        namespace=names.MODELS,
        storage_uri=f"s3://{around.bucket}/{version.prefix}",
        manifest_digest=version.manifest_digest,
        max_model_len=model.context_length,
        serving_class=serving.ServingClass(serving_class),
        runtime=name,
        settings=with_,
    )


def policy(model: str, limits: Sequence[gateway.TeamLimit], around: Surroundings) -> Policy:
    """Return the policy of a model for the teams granted now; with no limits it lets nobody in."""
    return render_policy(
        model=model,
        limits=limits,
        issuer=around.issuer,
        answers=around.answers,
        limit_cost=around.limit_cost,
    )


def closed_policy(model: str, around: Surroundings) -> Mapping[str, bytes]:
    """Return the policy that lets nobody in: committed with SERVE where the model has none, before
    any route exists.
    """
    return {names.policy_path(model): policy(model, (), around).text}


def shift(
    version: ModelVersion,
    around: Surroundings,
    percent: int = 100,
    baseline: ModelVersion | None = None,
    *,
    with_: ServingSettings = USUAL,
    baseline_with: ServingSettings = USUAL,
) -> Changes:
    """Return the route that sends `percent` of the model's callers to the version, and the rest to
    the baseline. with_, baseline_with: their settings.
    """
    model = version.registered_model.name
    weights = [gateway.Weight(version.number, percent, with_.priority_scheduling)]
    if baseline is not None and percent < 100:
        by_priority = baseline_with.priority_scheduling
        weights.append(gateway.Weight(baseline.number, 100 - percent, by_priority))
    route = gateway.route(
        model=model,
        weights=weights,
        gateway_name=around.gateway_name,
        gateway_namespace=around.gateway_namespace,
        limit_cost=around.limit_cost,
    )
    return {names.route_path(model): to_yaml([route])}


def retire(baseline: ModelVersion) -> Changes:
    """Return the removal of a version that no longer serves."""
    return {names.version_path(baseline.registered_model.name, baseline.number): None}


def remove(
    version: ModelVersion,
    live: ModelVersion | None,
    around: Surroundings,
    live_with: ServingSettings = USUAL,
) -> Changes:
    """Return the removal of an aborted version, and the route that the live version, with its
    settings, should have (none without one).
    """
    model = version.registered_model.name
    route: Changes = {names.route_path(model): None}
    if live:
        route = shift(live, around, with_=live_with)
    return {**retire(version), **route}
