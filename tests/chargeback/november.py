"""A November with two teams and two models, small enough to be added up by hand."""

from apps.chargeback import actions as allocations
from apps.chargeback.actions import price_due_days
from tests.chargeback.pricing import CHEAP, price
from tests.chargeback.test_queries import START, use
from tests.fleet.machines import at, machine, replica


def used(registered_model):
    """Two teams use a version each of one model in the month's first hour, at the same prices."""
    price(registered_model, CHEAP, START)
    use(START)
    use(START, team="prior-auth", cost_center="CC-4200", version="prior-auth-extract-v2")
    price_due_days()


def machines_of_november():
    """Two models, one starting, GPUs for nobody, a machine without a price and one nobody saw."""
    big = machine("big", 0, 2, price="8")
    replica(big, "prior-auth-extract-v1", 0, 2, gpus=2)
    replica(big, "embed-v1", 0, 2, ready=1)
    use(at(1), team="claims-review", model="prior-auth-extract", version="prior-auth-extract-v1")
    use(at(9), team="prior-auth", model="prior-auth-extract", version="prior-auth-extract-v9")
    price_due_days()
    machine("dark", 3, 4, price="3", observed=False)
    replica(machine("free", 5, 6, price=None, gpus=1), "embed-v1", 5, 6)
    allocations.allocate_day(day=at(0).date(), now=at(24))
