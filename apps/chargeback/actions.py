"""Setting prices. A price begins at a whole hour, so that no hour of usage has two."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from apps.accounts.models import Role, User
from apps.audit.actions import Actor, record
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.chargeback.models import Rate
from apps.chargeback.rating import Prices
from apps.common.errors import DomainError, require


class BadRate(DomainError):
    """The rate cannot begin then, or its prices cannot be."""

    code = "bad_rate"


@transaction.atomic
def set_rate(
    *,
    model: RegisteredModel,
    prices: Prices,
    active_from: datetime,
    actor: User | Actor,
    now: datetime,
) -> Rate:
    """Set a model's prices from a whole hour on; the rate before it ends there.

    prices: USD per million tokens, each ≥ 0. Raises NotPermitted unless actor is finance (or the
    sample loader); BadRate when active_from is no whole hour, or not after the current rate's
    start.
    """
    require(
        not isinstance(actor, User) or actor.has_role(Role.FINANCE), "Only finance sets prices."
    )
    if min(prices.input, prices.cached_input, prices.output) < Decimal(0):
        raise BadRate("A price cannot be negative.")
    if active_from != active_from.replace(minute=0, second=0, microsecond=0):
        raise BadRate("A price begins at a whole hour (UTC).")
    # one price change of a model at a time
    RegisteredModel.objects.select_for_update().get(pk=model.pk)
    latest = Rate.objects.filter(registered_model=model).order_by("-active_from").first()
    if latest and latest.active_from >= active_from:
        raise BadRate(
            f"A price already begins on {latest.active_from:%Y-%m-%d %H:%M} UTC; choose "
            f"a later hour."
        )
    if latest:
        Rate.objects.filter(pk=latest.pk).update(active_to=active_from)
    rate = Rate.objects.create(
        registered_model=model,
        input_usd_per_million=prices.input,
        cached_input_usd_per_million=prices.cached_input,
        output_usd_per_million=prices.output,
        active_from=active_from,
        set_by=actor if isinstance(actor, User) else None,
        set_at=now,
    )
    facts = {
        "input": str(prices.input),
        "cached_input": str(prices.cached_input),
        "output": str(prices.output),
    }
    record(
        action=Action.RATE_SET, actor=actor, target=rate, now=now, data={"usd_per_million": facts}
    )
    return rate
