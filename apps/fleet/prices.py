"""Instance types and their list prices: instance_prices.csv, whose first line says region and date.

A list price is what AWS asks for an on-demand machine. What a machine of the cluster costs is on
its node.
"""

import csv
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "instance_prices.csv"
REGION = "us-east-1"
LISTED = "6 Jul 2026"
BASIS = f"list price, {REGION}, {LISTED}"
SIMULATED = "simulated"  # how the basis of a price begins that was made up for the local cluster


@dataclass(frozen=True)
class InstanceType:
    """One type. gpu_mib: memory of one GPU, as AWS names it. usd_per_hour: on demand; None where no
    price is listed.
    """

    name: str
    gpu_name: str
    gpus: int
    gpu_mib: int
    vcpus: int
    memory_gib: Decimal
    usd_per_hour: Decimal | None

    @property
    def family(self) -> str:
        """Return the part before the dot: p6-b200 of p6-b200.48xlarge."""
        return self.name.partition(".")[0]


@cache
def instance_types() -> tuple[InstanceType, ...]:
    """Return all types in the file's order; read once."""
    with FILE.open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return tuple(
        InstanceType(
            name=row["instance_type"],
            gpu_name=row["gpu_name"],
            gpus=int(row["gpu_count"]),
            gpu_mib=int(row["gpu_memory_mib"]),
            vcpus=int(row["vcpu"]),
            memory_gib=Decimal(row["memory_mib"]) / 1024,
            usd_per_hour=Decimal(row["on_demand_usd_per_hour"])
            if row["on_demand_usd_per_hour"]
            else None,
        )
        for row in rows
    )


@cache
def families() -> dict[str, tuple[InstanceType, ...]]:
    """Return family → its types."""
    found: dict[str, list[InstanceType]] = {}
    for item in instance_types():
        found.setdefault(item.family, []).append(item)
    return {name: tuple(items) for name, items in found.items()}


def is_simulated(basis: str) -> bool:
    """Tell whether a price was made up, by its basis."""
    return basis.startswith(SIMULATED)


def family_of(instance_type: str) -> str:
    """Return the family of a type's name."""
    return instance_type.partition(".")[0]


@cache
def _by_name() -> dict[str, InstanceType]:
    return {item.name: item for item in instance_types()}


def instance_type(name: str) -> InstanceType | None:
    """Return a type by its name; None for one that is not listed here."""
    return _by_name().get(name)


def list_price(instance_type: str) -> Decimal | None:
    """Return a type's list price per hour, or None."""
    found = _by_name().get(instance_type)
    return None if found is None else found.usd_per_hour
