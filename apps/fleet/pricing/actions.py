"""Keeping what AWS tells of prices, and setting what a contract says.

What AWS told is a fact of the outside and makes no audit event; a contract is somebody's word and
does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.accounts.roles import SETS_MACHINE_PRICES
from apps.audit.actions import record
from apps.audit.models import Action
from apps.common.errors import DomainError, require
from apps.fleet.pricing.models import NodePrice, PriceFeed, PriceOverride

AT_ONCE = 1000  # rows a statement
MAY_SET = "Only finance says what a contract for machines costs."


class BadOverride(DomainError):
    """The contract's price, or its dates, cannot be."""

    code = "bad_price_override"


@dataclass(frozen=True)
class Told:
    """A price as AWS told it. zone: "" for a list price."""

    source: NodePrice.Source
    instance_type: str
    region: str
    zone: str
    usd_per_hour: Decimal
    active_from: datetime


@transaction.atomic
def record_prices(
    *, feed: str, told: Sequence[Told], told_until: datetime | None, error: str = "", now: datetime
) -> int:
    """Keep what a feed told, each once, and how far it has got; return how many are new.

    told_until: None where it failed; how far it had got then stays. A price that AWS tells
    otherwise the second time stays as it was told first.
    """
    known = NodePrice.objects.count()
    NodePrice.objects.bulk_create(
        [
            NodePrice(
                source=each.source,
                instance_type=each.instance_type,
                region=each.region,
                zone=each.zone,
                usd_per_hour=each.usd_per_hour,
                active_from=each.active_from,
                learned_at=now,
            )
            for each in told
        ],
        ignore_conflicts=True,
        batch_size=AT_ONCE,
    )
    values: dict[str, object] = {"tried_at": now, "error": error[:300]}
    if told_until is not None:
        values["told_until"] = told_until
    PriceFeed.objects.update_or_create(name=feed, defaults=values)
    return NodePrice.objects.count() - known


@dataclass(frozen=True)
class Terms:
    """What a contract is about: one kind of machine, and its price by the hour or its discount on
    AWS's list price in percent.
    """

    instance_type: str
    capacity_type: str
    region: str
    usd_per_hour: Decimal | None = None
    discount_percent: Decimal | None = None


@transaction.atomic
def set_price_override(
    *,
    terms: Terms,
    active_from: datetime,
    active_to: datetime | None,
    reason: str,
    actor: User,
    now: datetime,
) -> PriceOverride:
    """Set what a contract says that a kind of machine costs over [active_from, active_to).

    It may begin in the past: the days since are shared out again. Raises NotPermitted unless actor
    is finance; BadOverride for a price that cannot be, dates in the wrong order, another contract
    at the same time, or no reason.
    """
    require(actor.has_role(*SETS_MACHINE_PRICES), MAY_SET)
    _check(terms, active_from, active_to, reason)
    try:
        with transaction.atomic():
            row = PriceOverride.objects.create(
                instance_type=terms.instance_type,
                capacity_type=terms.capacity_type,
                region=terms.region,
                usd_per_hour=terms.usd_per_hour,
                discount_percent=terms.discount_percent,
                active_from=active_from,
                active_to=active_to,
                reason=reason.strip(),
                set_by=actor,
                set_at=now,
            )
    except IntegrityError as error:
        raise BadOverride("Another contract covers this kind of machine at that time.") from error
    record(
        action=Action.MACHINE_PRICE_SET,
        actor=actor,
        target=row,
        now=now,
        data=_facts(row) | {"reason": row.reason},
    )
    return row


@transaction.atomic
def end_price_override(
    *, override: PriceOverride, active_to: datetime, actor: User, now: datetime
) -> PriceOverride:
    """Let a contract that has no end, or a later one, end.

    Raises NotPermitted unless actor is finance; BadOverride for an end before its beginning, or not
    before the end that it has.
    """
    require(actor.has_role(*SETS_MACHINE_PRICES), MAY_SET)
    row = PriceOverride.objects.select_for_update().get(pk=override.pk)
    if active_to <= row.active_from or (row.active_to is not None and active_to >= row.active_to):
        raise BadOverride("A contract ends after it begins, and never later than it was to.")
    row.active_to = active_to
    row.save(update_fields=["active_to"])
    record(action=Action.MACHINE_PRICE_ENDED, actor=actor, target=row, now=now, data=_facts(row))
    return row


def _check(terms: Terms, active_from: datetime, active_to: datetime | None, reason: str) -> None:
    if not (terms.instance_type and terms.capacity_type and terms.region):
        raise BadOverride("Say which machine, how it is bought, and in which region.")
    if (terms.usd_per_hour is None) == (terms.discount_percent is None):
        raise BadOverride("Give a price by the hour or a discount, one of the two.")
    if terms.usd_per_hour is not None and terms.usd_per_hour < 0:
        raise BadOverride("A price cannot be negative.")
    if terms.discount_percent is not None and not 0 < terms.discount_percent <= 100:
        raise BadOverride("A discount is above 0 and at most 100 percent.")
    if active_to is not None and active_to <= active_from:
        raise BadOverride("A contract ends after it begins.")
    if not reason.strip():
        raise BadOverride("Say which contract it is.")


def _facts(row: PriceOverride) -> dict[str, str | None]:
    amounts = {"usd_per_hour": row.usd_per_hour, "discount_percent": row.discount_percent}
    times = {"active_from": row.active_from, "active_to": row.active_to}
    return {
        "instance_type": row.instance_type,
        "capacity_type": row.capacity_type,
        "region": row.region,
        **{name: None if value is None else str(value) for name, value in amounts.items()},
        **{name: None if value is None else value.isoformat() for name, value in times.items()},
    }
