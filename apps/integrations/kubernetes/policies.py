"""Envoy Gateway's policies → what they say and what became of them. Pure: what is missing or odd in
an object becomes an empty value, no error.
"""

from dataclasses import dataclass, field

from apps.integrations.kubernetes.readings import condition
from apps.integrations.kubernetes.types import Manifest

TEAM_CLAIM, TEAM_HEADER = "team", "x-team"


@dataclass(frozen=True)
class PolicyStatus:
    """A policy as the cluster has it. is_accepted: by every gateway that it is for; None while one
    has not looked at its present spec. says: why it is not accepted. teams: that a SecurityPolicy
    lets in; limits: team → tokens per minute, of a BackendTrafficPolicy.
    """

    name: str
    is_accepted: bool | None
    says: str = ""
    teams: tuple[str, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)


def policy(obj: Manifest) -> PolicyStatus:
    """Read a SecurityPolicy, a BackendTrafficPolicy or an EnvoyExtensionPolicy."""
    accepted, says = _verdict(obj)
    spec = obj.get("spec") or {}
    return PolicyStatus(
        name=(obj.get("metadata") or {}).get("name", ""),
        is_accepted=accepted,
        says=says,
        teams=tuple(sorted(_teams(spec))),
        limits=_limits(spec),
    )


def _verdict(obj: Manifest) -> tuple[bool | None, str]:
    """Return what its gateways say. A verdict about an older generation of it counts as none."""
    generation = (obj.get("metadata") or {}).get("generation", 0)
    found = [
        condition(item)
        for ancestor in (obj.get("status") or {}).get("ancestors") or []
        for item in ancestor.get("conditions") or []
        if item.get("observedGeneration", generation) >= generation
    ]
    verdicts = [each for each in found if each.type == "Accepted"]
    refused = next((each for each in verdicts if not each.is_true), None)
    if refused is not None:
        return False, refused.message or refused.reason
    return (True if verdicts else None), ""


def _teams(spec: Manifest) -> set[str]:
    rules = (spec.get("authorization") or {}).get("rules") or []
    return {
        str(value)
        for rule in rules
        if rule.get("action") == "Allow"
        for claim in ((rule.get("principal") or {}).get("jwt") or {}).get("claims") or []
        if claim.get("name") == TEAM_CLAIM
        for value in claim.get("values") or []
    }


def _limits(spec: Manifest) -> dict[str, int]:
    rules = ((spec.get("rateLimit") or {}).get("global") or {}).get("rules") or []
    found: dict[str, int] = {}
    for rule in rules:
        limit = (rule.get("limit") or {}).get("requests")
        for selector in rule.get("clientSelectors") or []:
            for header in selector.get("headers") or []:
                if header.get("name") == TEAM_HEADER and isinstance(limit, int):
                    found[str(header.get("value", ""))] = limit
    return found
