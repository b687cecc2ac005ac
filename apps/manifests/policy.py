"""policy.yaml: who may call one model, and how much. Pure, and the one place that makes it.

A rollout commits it before the model's first route, with nobody let in; the gateway's reconciler
commits it whenever grants change. The same grants always give the same bytes and digest. The digest
is written on the objects as an annotation: the cluster's copy says by itself which policy it
carries. A model without grants gets a policy that lets nobody in.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from apps.manifests.gateway import (
    WHOLE_COST,
    Answers,
    Issuer,
    TeamLimit,
    security_policy,
    traffic_policy,
)
from apps.manifests.text import to_yaml

DIGEST_ANNOTATION = "quartermaster.dev/policy-digest"


@dataclass(frozen=True)
class Policy:
    """A model's policy: the file to commit and its digest, "sha256:<hex>", which the file's objects
    carry.
    """

    text: bytes
    digest: str


def render_policy(
    *,
    model: str,
    limits: Sequence[TeamLimit],
    issuer: Issuer,
    answers: Answers,
    limit_cost: str = WHOLE_COST,
) -> Policy:
    """Return the policy of `model` for the teams granted now. limits: one per team, in any order.

    limit_cost: what a call counts against its team's limit, in CEL.
    """
    teams = [limit.team for limit in limits]
    objects = [
        security_policy(model=model, issuer=issuer, teams=teams),
        traffic_policy(model=model, limits=limits, answers=answers, limit_cost=limit_cost),
    ]
    digest = "sha256:" + hashlib.sha256(to_yaml(objects)).hexdigest()
    for item in objects:
        item["metadata"]["annotations"] = {DIGEST_ANNOTATION: digest}
    return Policy(text=to_yaml(objects), digest=digest)
