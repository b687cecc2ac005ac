"""Which machines there are, and which versions' engines, are simulated (common/simulated.py)."""

from collections.abc import Collection

from django.db.models import Q

from apps.common.simulated import Simulated
from apps.fleet.models import SIMULATED_MACHINE, NodeClaim, Replica
from apps.integrations.engine.identity import STAND_IN
from apps.manifests.names import MODELS


def stand_in_versions(versions: Collection[str] | None = None) -> frozenset[str]:
    """Return those of these versions, or of all, whose callers the stand-in has answered; one
    query.

    versions: names as calls carry them, `<model>-v<n>`. A version without a known replica is not
    among them.
    """
    rows = Replica.objects.filter(namespace=MODELS, engine__startswith=STAND_IN)
    if versions is not None:
        rows = rows.filter(service__in=versions)
    return frozenset(rows.order_by().values_list("service", flat=True).distinct())


def of_machines(pools: Collection[str] | None = None) -> Simulated:
    """Return what is made up among the machines that there are, of some pools or of all; one
    query.
    """
    rows = NodeClaim.objects.present()
    if pools is not None:
        rows = rows.filter(node_pool__in=pools)
    found = list(rows.order_by().only("provider_id", "price_basis"))
    return Simulated(
        machines=any(claim.is_simulated for claim in found),
        prices=any(claim.is_price_simulated for claim in found),
    )


def has_simulated_machine(namespace: str, services: Collection[str]) -> bool:
    """Tell whether a replica of one of these InferenceServices ran on a simulated machine; one
    query.
    """
    made_up = NodeClaim.objects.filter(provider_id__startswith=SIMULATED_MACHINE).order_by()
    return (
        Replica.objects.filter(namespace=namespace, service__in=services)
        .filter(
            Q(node_claim_name__in=made_up.values("name"))
            | Q(node_name__in=made_up.exclude(node_name="").values("node_name"))
        )
        .exists()
    )
