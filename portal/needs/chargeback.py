"""Money: prices that are proposed, and months that are asked to close."""

from collections.abc import Iterator

from apps.accounts.models import User
from apps.chargeback import telling
from apps.chargeback.closing import actions as closing
from apps.chargeback.closing.models import MonthClose
from apps.chargeback.models import PriceChange
from apps.chargeback.prices import actions as prices
from portal.needs.lines import SHOWN, Need, asked, own


def own_prices(user: User) -> Iterator[Need]:
    """Prices that this person proposed, which only finance does."""
    if not prices.may_propose(user):
        return
    waiting = PriceChange.objects.pending().filter(requested_by=user)
    rows = waiting.select_related("registered_model")
    yield from own(rows, telling.own_price_title, prices.question, user, icon="coins")


def prices_to_decide(user: User) -> Iterator[Need]:
    """Proposed prices that the person publishes or rejects."""
    rows = PriceChange.objects.to_decide(user)
    yield from asked(rows, telling.price_title, icon="coins", by="Proposed by")


def own_closes(user: User) -> Iterator[Need]:
    """Months that this person asked to close, which only finance does."""
    if not closing.may_ask(user):
        return
    rows = MonthClose.objects.pending().filter(requested_by=user)
    yield from own(rows, telling.own_close_title, closing.question, user, icon="lock")


def closes_to_decide(user: User) -> Iterator[Need]:
    """Months that somebody else asked to close, and this person closes or not."""
    for item in MonthClose.objects.to_decide(user)[:SHOWN]:
        title, why = telling.close_title(item), f"Asked for by {item.requested_by.name}"
        yield Need(title, why, item.get_absolute_url(), "lock", "busy", item.requested_at)
