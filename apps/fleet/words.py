"""How people read what the cluster says in its own words: nodes' names, kinds of machine, whose
price it is. Pure.
"""

LONGEST_NAME = 28  # of a node, where a table shows it
_CAPACITY_TYPES = {"on-demand": "On demand", "spot": "Spot", "reserved": "Reserved"}
_PRICES = {
    "on-demand-list": "list price",
    "simulated-spot": "simulated price",
    "contract": "contract price",
    "aws-list": "AWS list price",
    "aws-spot-history": "AWS Spot price",
}


def short_name(name: str) -> str:
    """Return a node's name without its domain, and its middle where it is long still; pages show
    the whole name on hover.
    """
    host = name.partition(".")[0]
    if len(host) <= LONGEST_NAME:
        return host
    half = (LONGEST_NAME - 1) // 2
    return f"{host[:half]}…{host[-half:]}"


def capacity_type(kind: str) -> str:
    """Return a kind of machine: "On demand", "Spot"; one not known here as it is written."""
    return _CAPACITY_TYPES.get(kind, kind)


def price_basis(basis: str) -> str:
    """Return whose price it is: "list price", "simulated price"; "" where the cluster does not
    say.
    """
    return _PRICES.get(basis, basis)


def machine(kind: str, basis: str) -> str:
    """Return a kind of machine with whose price it has: "On demand, list price"; "Spot, simulated
    price".
    """
    return ", ".join(part for part in (capacity_type(kind), price_basis(basis)) if part)
