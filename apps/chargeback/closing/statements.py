"""What statements of a month say, from exact lines. Pure.

All lines of a month are rounded together, once: each side's amounts sum to the month's rounded
total, whatever they are grouped by.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Literal

from apps.chargeback.closing.rounding import in_cents
from apps.common.canonical import digest_of
from apps.common.money import exact

Basis = Literal["LIST", "COST"]  # by the price list, or by the machines' cost
LIST: Basis = "LIST"
COST: Basis = "COST"
BILL = "BILL"  # the item of a line that a restated bill makes


@dataclass(frozen=True)
class Key:
    """What a line is of. rate: the id of the price, None by cost; item: a SKU, the kind of a share
    of the machines' cost, or BILL. is_estimated: of calls that did not tell their usage.
    """

    cost_center: str
    basis: str
    usage_month: date
    team: str
    model: str
    version: str
    item: str
    rate: int | None = None
    is_estimated: bool = False

    @property
    def sorted_by(self) -> tuple[object, ...]:
        """Return what puts lines in their order: list before cost, what is corrected first."""
        order = (self.cost_center, self.basis != LIST, self.usage_month)
        whose = (self.team, self.model, self.version)
        return (*order, *whose, self.item, self.rate or 0, self.is_estimated)


@dataclass(frozen=True)
class Amount:
    """A quantity and what it comes to, exact."""

    quantity: Decimal
    usd: Decimal

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.quantity + other.quantity, self.usd + other.usd)

    def __neg__(self) -> "Amount":
        return Amount(-self.quantity, -self.usd)


NOTHING = Amount(Decimal(0), Decimal(0))


@dataclass(frozen=True)
class DraftLine:
    """One line with its amount in whole cents."""

    key: Key
    amount: Amount
    cents: Decimal


@dataclass(frozen=True)
class Draft:
    """One statement before it is issued."""

    number: str
    month: date
    cost_center: str
    lines: tuple[DraftLine, ...]
    methods: tuple[str, ...] = ()

    def total(self, basis: str) -> Decimal:
        """Return what its lines come to, in whole cents."""
        own = (line.cents for line in self.lines if line.key.basis == basis)
        return sum(own, Decimal("0.00"))

    @property
    def content(self) -> dict[str, object]:
        """Return its facts as canonical JSON takes them: amounts are text. How the machines were
        shared out is among them where any were.
        """
        facts: dict[str, object] = {
            "number": self.number,
            "month": f"{self.month:%Y-%m}",
            "cost_center": self.cost_center,
            "currency": "USD",
            "list_usd": str(self.total(LIST)),
            "cost_usd": str(self.total(COST)),
            "lines": [_plain(line) for line in self.lines],
        }
        return facts | ({"methods": list(self.methods)} if self.methods else {})

    @property
    def digest(self) -> str:
        """Return "sha256:<hex>" of its facts."""
        return digest_of(self.content)


def _plain(line: DraftLine) -> dict[str, object]:
    key = line.key
    facts: dict[str, object] = {
        "basis": key.basis,
        "usage_month": f"{key.usage_month:%Y-%m}",
        "team": key.team,
        "model": key.model,
        "version": key.version,
        "item": key.item,
        "rate": key.rate,
        "quantity": exact(line.amount.quantity),
        "exact_usd": exact(line.amount.usd),
        "amount_usd": str(line.cents),
    }
    # said where it is so alone: what was issued before there were such lines keeps its digest
    return facts | ({"is_estimated": True} if key.is_estimated else {})


def corrections(now: dict[Key, Amount], billed: dict[Key, Amount]) -> dict[Key, Amount]:
    """Return what a closed month comes to beyond what was billed of it so far: by what is known
    today, less every statement's lines of it. Empty where nothing changed since.
    """
    found = {
        key: now.get(key, NOTHING) + -billed.get(key, NOTHING) for key in now.keys() | billed.keys()
    }
    return {key: amount for key, amount in found.items() if amount != NOTHING}


def drafts(month: date, lines: dict[Key, Amount], methods: Sequence[str] = ()) -> list[Draft]:
    """Return the statements of a month, one for each cost center, numbered in their order.

    methods: that the month's machines were shared out by.
    """
    keys = sorted(lines, key=lambda key: key.sorted_by)
    rounded: dict[Key, Decimal] = {}
    for basis in (LIST, COST):
        own = [key for key in keys if key.basis == basis]
        rounded |= dict(zip(own, in_cents([lines[key].usd for key in own]), strict=True))
    made = []
    groups = groupby(keys, key=lambda key: key.cost_center)
    for number, (cost_center, group) in enumerate(groups, start=1):
        found = tuple(DraftLine(key, lines[key], rounded[key]) for key in group)
        whose = (f"{month:%Y-%m}-{number:03}", month, cost_center)
        made.append(Draft(*whose, found, tuple(methods)))
    return made


def digest_of_all(made: Sequence[Draft]) -> str:
    """Return "sha256:<hex>" over all statements of a month."""
    return digest_of([[draft.number, draft.digest] for draft in made])


def total_of(made: Iterable[Draft], basis: str) -> Decimal:
    """Return what all statements come to, in whole cents."""
    return sum((draft.total(basis) for draft in made), Decimal("0.00"))
