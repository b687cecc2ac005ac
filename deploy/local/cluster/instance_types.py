"""The GPU machines that the local Karpenter may buy, written as the file its kwok provider reads.

`instance_types.csv` holds the facts: name, GPU, counts, memory and the on-demand list price of
us-east-1 in dollars per hour, as Karpenter's AWS provider 1.14.1 ships them (its price table of
2026-07-06). On-demand prices are therefore list prices. Spot prices are **simulated**: a fixed
share of the list price per machine and zone, between 0.4 and 0.7, so that the same stack always
buys the same machines; nodes carry the label `quartermaster.dev/price-basis` that says which of the
two their price is. Types without whole GPUs and types without a price are left out.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("instance_types.csv")
REGION = "us-east-1"
ZONES = (f"{REGION}a", f"{REGION}b", f"{REGION}c")
LOWEST_SPOT_SHARE, HIGHEST_SPOT_SHARE = Decimal("0.40"), Decimal("0.70")

# Karpenter takes a node's overhead from the file's figure; the operating system's share was
# measured on EKS.
USABLE_MEMORY = Decimal("0.925")
EPHEMERAL_STORAGE = "300Gi"

AWS = "karpenter.k8s.aws"
PRICE_BASIS = "quartermaster.dev/price-basis"


@dataclass(frozen=True)
class InstanceType:
    """One row of the table. Prices are dollars per hour."""

    name: str
    gpu_name: str
    gpu_count: int
    gpu_memory_mib: int
    vcpu: int
    memory_mib: int
    on_demand_usd: Decimal

    @property
    def family(self) -> str:
        """g6e of g6e.2xlarge."""
        return self.name.partition(".")[0]

    @property
    def size(self) -> str:
        """2xlarge of g6e.2xlarge."""
        return self.name.partition(".")[2]

    def spot_usd(self, zone: str) -> Decimal:
        """Return the simulated Spot price in a zone: the same on each machine and at each start."""
        drawn = hashlib.sha256(f"{self.name}/{zone}".encode()).digest()[0]
        share = LOWEST_SPOT_SHARE + (HIGHEST_SPOT_SHARE - LOWEST_SPOT_SHARE) * drawn / 255
        return (self.on_demand_usd * share).quantize(Decimal("0.0001"))


def load(path: Path = SOURCE) -> list[InstanceType]:
    """Return the table's rows."""
    with path.open(newline="") as file:
        return [
            InstanceType(
                name=row["instance_type"],
                gpu_name=row["gpu_name"],
                gpu_count=int(row["gpu_count"]),
                gpu_memory_mib=int(row["gpu_memory_mib"]),
                vcpu=int(row["vcpu"]),
                memory_mib=int(row["memory_mib"]),
                on_demand_usd=Decimal(row["on_demand_usd_per_hour"]),
            )
            for row in csv.DictReader(file)
        ]


def render(types: Iterable[InstanceType]) -> str:
    """Return the JSON file that the kwok provider reads (INSTANCE_TYPES_FILE_PATH)."""
    return json.dumps([_entry(machine) for machine in types], indent=1) + "\n"


def _entry(machine: InstanceType) -> dict[str, Any]:
    usable = int(machine.memory_mib * USABLE_MEMORY)
    return {
        "name": machine.name,
        "architecture": "amd64",
        "operatingSystems": ["linux"],
        "resources": {
            "cpu": str(machine.vcpu),
            "memory": f"{usable}Mi",
            "pods": "110",
            "ephemeral-storage": EPHEMERAL_STORAGE,
            "nvidia.com/gpu": str(machine.gpu_count),
        },
        "offerings": [
            _offering(machine, capacity_type, zone)
            for zone in ZONES
            for capacity_type in ("spot", "on-demand")
        ],
    }


def _offering(machine: InstanceType, capacity_type: str, zone: str) -> dict[str, Any]:
    """Return one way to buy the machine, with the labels that its node will carry."""
    is_spot = capacity_type == "spot"
    labels = {
        "karpenter.sh/capacity-type": capacity_type,
        "topology.kubernetes.io/zone": zone,
        "topology.kubernetes.io/region": REGION,
        PRICE_BASIS: "simulated-spot" if is_spot else "on-demand-list",
        **_aws_labels(machine),
    }
    return {
        "Price": float(machine.spot_usd(zone) if is_spot else machine.on_demand_usd),
        "Available": True,
        "Requirements": [
            {"key": key, "operator": "In", "values": [value]} for key, value in labels.items()
        ],
    }


def _aws_labels(machine: InstanceType) -> dict[str, str]:
    """Return the labels that Karpenter sets on AWS, so that a NodePool means the same here and
    there.
    """
    return {
        f"{AWS}/instance-category": machine.family[0],
        f"{AWS}/instance-family": machine.family,
        f"{AWS}/instance-size": machine.size,
        f"{AWS}/instance-cpu": str(machine.vcpu),
        f"{AWS}/instance-memory": str(machine.memory_mib),
        f"{AWS}/instance-gpu-name": machine.gpu_name,
        f"{AWS}/instance-gpu-manufacturer": "nvidia",
        f"{AWS}/instance-gpu-count": str(machine.gpu_count),
        f"{AWS}/instance-gpu-memory": str(machine.gpu_memory_mib),
    }
