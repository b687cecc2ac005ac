"""What needs a person now: decisions that wait for them, and what failed where they look after it;
and what they wait for themselves.

Read straight from the apps' rows, a fixed number of queries however much there is (tests pin it).
"""

from datetime import datetime
from itertools import chain

from apps.accounts.models import User
from portal.needs import (
    access,
    accounts,
    capacity,
    catalog,
    chargeback,
    evals,
    gateway,
    incidents,
    promotions,
    prompts,
)
from portal.needs.lines import SHOWN, Need

MOST = 3 * SHOWN


def needs_of(user: User, now: datetime) -> list[Need]:
    """Return what needs this person: failures first, then what waits longest."""
    found = chain(
        access.requests_to_decide(user),
        promotions.promotions_to_decide(user),
        promotions.policies_to_decide(user),
        gateway.guardrails_to_decide(user),
        accounts.pipelines_to_decide(user),
        prompts.requests_to_decide(user),
        promotions.emergencies(user, now),
        capacity.to_decide_or_mend(user, now),
        catalog.new_models(user),
        evals.suites_to_decide(user),
        catalog.revocations(user),
        chargeback.prices_to_decide(user),
        chargeback.closes_to_decide(user),
        access.budgets_to_decide(user),
        access.budgets_that_run_out(user, now),
        promotions.held_rollouts(user),
        access.grants_that_end(user, now),
        access.grants_to_look_at(user, now),
        accounts.roles_to_look_at(user, now),
        promotions.failed_rollouts(user, now),
        evals.failed_runs(user, now),
        catalog.quarantined(user, now),
        incidents.open_incidents(user),
    )
    order = {"bad": 0, "warn": 1, "busy": 2}
    return sorted(found, key=lambda need: (order.get(need.tone, 3), need.since))[:MOST]


def waits_of(user: User) -> list[Need]:
    """Return what this person asked for and others have not decided yet, the longest waiting
    first. Five queries, six for model owners, finance and platform engineers.
    """
    found = chain(
        access.own_requests(user),
        promotions.own_promotions(user),
        promotions.own_policies(user),
        gateway.own_guardrails(user),
        accounts.own_pipelines(user),
        prompts.own_requests(user),
        capacity.own_requests(user),
        catalog.own_new_models(user),
        evals.own_suites(user),
        chargeback.own_prices(user),
        chargeback.own_closes(user),
        access.own_budgets(user),
    )
    return sorted(found, key=lambda need: need.since)[:MOST]
