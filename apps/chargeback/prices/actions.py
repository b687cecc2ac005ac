"""Proposing a model's prices, and publishing them: two people of finance.

Nobody publishes their own proposal: the action refuses it, and so do a check constraint and the
trigger that lets no rate in without its published change. A price begins at a whole hour, so that
no hour of usage has two, and never before the first open month.
"""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.accounts.models import User
from apps.accounts.roles import PROPOSES_PRICES, PUBLISHES_PRICES
from apps.audit.actions import record
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.chargeback.actions import mark_days
from apps.chargeback.models import PriceChange, Rate
from apps.chargeback.periods import first_open, hold_months
from apps.chargeback.prices import queries
from apps.chargeback.queries import prices_at
from apps.chargeback.rating import Prices
from apps.common import decisions, periods
from apps.common.errors import DomainError, require
from apps.common.periods import day_of, day_words

Status = PriceChange.Status


class BadRate(DomainError):
    """The prices cannot begin then, or cannot be."""

    code = "bad_rate"


def may_propose(person: User) -> bool:
    """Tell whether this person may propose prices: finance."""
    return person.has_role(*PROPOSES_PRICES)


def permit_proposing(person: User) -> None:
    """Raise NotPermitted unless this person may propose prices."""
    require(may_propose(person), "Only finance proposes prices.")


@transaction.atomic
def propose_prices(
    *,
    model: RegisteredModel,
    prices: Prices,
    active_from: datetime,
    justification: str,
    requester: User,
    now: datetime,
) -> PriceChange:
    """Propose a model's whole price list from an hour on.

    Raises NotPermitted unless the requester is finance; BadRate where no SKU has a price, one is
    below zero, active_from is no whole hour or before the first open month, nothing would change,
    or another change of the model's prices waits.
    """
    permit_proposing(requester)
    _check(prices, active_from, now)
    _lock(model)
    before = prices_at(model, active_from) or Prices()
    if before == prices and not queries.effect_of(model, prices, active_from).replaces:
        raise BadRate(f"Nothing changes: {model} has these prices then already.")
    try:
        change = PriceChange.objects.create(
            registered_model=model,
            prices=prices.as_text,
            before=before.as_text,
            active_from=active_from,
            justification=justification,
            requested_by=requester,
            requested_at=now,
        )
    except IntegrityError:
        raise BadRate(
            f"A change of the prices of {model} waits for a decision already. One at a time."
        ) from None
    data = _facts(change) | {"justification": justification}
    record(action=Action.PRICE_PROPOSED, actor=requester, target=change, now=now, data=data)
    return change


def _check(prices: Prices, active_from: datetime, now: datetime) -> None:
    if not prices.by_sku:
        raise BadRate("Give a price to one SKU at least.")
    if min(prices.by_sku.values()) < 0:
        raise BadRate("A price cannot be negative.")
    if active_from != active_from.replace(minute=0, second=0, microsecond=0):
        raise BadRate("A price begins at a whole hour (UTC).")
    if too_early := begins_too_early(active_from, now):
        raise BadRate(too_early)


def begins_too_early(active_from: datetime, now: datetime) -> str:
    """Return in words why prices cannot begin then; "" where they can."""
    opens = first_open(now)
    if active_from >= opens:
        return ""
    return f"Prices change from the open period on: not before {day_words(day_of(opens))}, UTC."


def _lock(model: RegisteredModel) -> None:
    """Let one change of a model's prices happen at a time."""
    RegisteredModel.objects.select_for_update().get(pk=model.pk)


def question(change: PriceChange, person: User) -> decisions.Question:
    """Return who decides about a change, as this person meets it: finance."""
    return decisions.Question(
        change,
        person,
        decider="finance person",
        is_decider=person.has_role(*PUBLISHES_PRICES),
        noun="proposal",
        asked="proposed",
    )


@transaction.atomic
def publish_prices(
    *, change: PriceChange, approver: User, reason: str, now: datetime
) -> PriceChange:
    """Publish proposed prices: what was in force at their hour ends there, and what would have
    begun then or later is replaced.

    Raises NotPermitted unless the approver is finance and did not propose it; AlreadyDecided;
    BadRate where the hour is before the first open month by now.
    """
    asks = question(change, approver)
    decisions.permit(asks)
    hold_months()
    if too_early := begins_too_early(change.active_from, now):
        raise BadRate(f"{too_early} Reject it, and propose the prices anew.")
    _lock(change.registered_model)
    effect = queries.effect_of(change.registered_model, change.proposed, change.active_from)
    decisions.decide(asks, status=Status.PUBLISHED, reason=reason, now=now)
    _put_in_force(change)
    if change.active_from <= now:
        # calls may begin a little after now, by the gateway's clock
        mark_days(first=day_of(change.active_from), last=day_of(now + periods.DAY), now=now)
    data = _facts(change) | {
        "reason": reason,
        "proposed_by": change.requested_by.username if change.requested_by else "",
        "replaces": [str(item.pk) for item in effect.replaces],
    }
    record(action=Action.PRICE_PUBLISHED, actor=approver, target=change, now=now, data=data)
    return change


def _put_in_force(change: PriceChange) -> None:
    """Make the rates of a published change, and make room for them."""
    begins = change.active_from
    current = Rate.objects.current().filter(registered_model=change.registered_model)
    current.filter(active_from__gte=begins).update(replaced_by=change)
    reaching = Q(active_to__isnull=True) | Q(active_to__gt=begins)
    current.filter(reaching, active_from__lt=begins).update(active_to=begins)
    Rate.objects.bulk_create(
        Rate(
            registered_model=change.registered_model,
            sku=sku,
            unit_price_usd=usd,
            active_from=begins,
            change=change,
        )
        for sku, usd in change.proposed.by_sku.items()
    )


@transaction.atomic
def reject_prices(
    *, change: PriceChange, approver: User, reason: str, now: datetime
) -> PriceChange:
    """Reject proposed prices. Raises NotPermitted as publish_prices does, AlreadyDecided."""
    decisions.reject(question(change, approver), reason=reason, now=now)
    data = _facts(change) | {"reason": reason}
    record(action=Action.PRICE_REJECTED, actor=approver, target=change, now=now, data=data)
    return change


@transaction.atomic
def withdraw_prices(*, change: PriceChange, actor: User, now: datetime) -> PriceChange:
    """Take back proposed prices. Raises NotPermitted unless actor proposed them; AlreadyDecided."""
    decisions.withdraw(question(change, actor), now=now)
    record(action=Action.PRICE_WITHDRAWN, actor=actor, target=change, now=now, data=_facts(change))
    return change


def _facts(change: PriceChange) -> dict[str, object]:
    """Return what the audit record says of a change: the old and the new prices, and the hour."""
    return {
        "model": change.registered_model.name,
        "active_from": change.active_from.isoformat(),
        "before": change.before,
        "prices": change.prices,
    }
