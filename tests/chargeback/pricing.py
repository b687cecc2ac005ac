"""Prices for tests, by the product's own doors: one of finance proposes, another publishes."""

from decimal import Decimal

from apps.accounts.models import Role, User
from apps.chargeback.models import Rate
from apps.chargeback.prices import actions
from apps.chargeback.rating import Prices
from tests.factories import UserFactory

CHEAP = Prices(Decimal("0.10"), Decimal("0.01"), Decimal("0.40"))
DEAR = Prices(Decimal("0.20"), Decimal("0.02"), Decimal("0.80"))
WHY = "As agreed with the model's owner."


def finance(name):
    """Return a person of finance; the same one for the same name."""
    found = User.objects.filter(username=name).first()
    return found or UserFactory(username=name, with_roles=[Role.FINANCE])


def propose(model, prices, active_from, *, by="proposer", now=None):
    """Have somebody propose a model's prices. now: their hour itself, if left out."""
    return actions.propose_prices(
        model=model,
        prices=prices,
        active_from=active_from,
        justification=WHY,
        requester=finance(by),
        now=now or active_from,
    )


def publish(change, *, by="publisher", now=None):
    """Have somebody publish a change."""
    return actions.publish_prices(
        change=change, approver=finance(by), reason="Agreed.", now=now or change.active_from
    )


def price(model, prices, active_from, *, active_to=None):
    """Give a model prices from an hour on; return their change. active_to: ends them there, which
    no door does by itself.
    """
    change = publish(propose(model, prices, active_from))
    if active_to is not None:
        Rate.objects.filter(change=change).update(active_to=active_to)
    return change
