"""Who calls in the bench: one team of a large company, whose calls count against budgets in dollars
and in tokens of its cost center, of itself and of itself for the model. What the guard looks for in
them, and whether they are kept, people decide as anywhere.
"""

import logging
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.benchmarks.chargeback.company import Size
from tests.benchmarks.gate.front import COST_CENTER, MODEL, TEAM

TEAMS, MODELS = int(os.environ.get("TEAMS") or 1500), int(os.environ.get("MODELS") or 100)
PLENTY = 2_000_000_000


def found() -> None:
    """Migrate, and make the company with its prices, budgets and grants."""
    import django

    django.setup()
    from django.core.management import call_command

    from apps.accounts.models import User
    from apps.common.sign_ins import JUST_NOW
    from tests.benchmarks.chargeback import company

    logging.getLogger("apps.common.tasks").setLevel(logging.ERROR)  # no broker, as in the tests
    User.sign_in = JUST_NOW  # its people decide all day long, as those of the tests do
    call_command("migrate", interactive=False, verbosity=0)
    call_command("grant_privileges", verbosity=0)
    now = datetime.now(UTC)
    company.found(Size(events=0, months=2, teams=TEAMS, models=MODELS, today=now.date()))
    _let_in(now)


def _let_in(now: datetime) -> None:
    """Grant the caller's team the model, and set its budgets in tokens."""
    from apps.access.budgets.actions import set_budget
    from apps.access.budgets.terms import Terms
    from apps.access.models import AccessRequest, Grant
    from apps.accounts.models import CostCenter, Team
    from apps.catalog.models import RegisteredModel
    from tests.chargeback.pricing import finance

    team, model = Team.objects.get(slug=TEAM), RegisteredModel.objects.get(name=MODEL)
    actor = finance("sets budgets in tokens")
    terms = Terms(Decimal(10) ** 12)
    why = {"unit": "TOKENS", "terms": terms, "reason": "As planned.", "actor": actor, "now": now}
    set_budget(team=team, **why)
    set_budget(team=team, model=model, **why)
    set_budget(cost_center=CostCenter.objects.get(code=COST_CENTER), **why)
    asked = AccessRequest.objects.create(
        team=team, registered_model=model, requested_by=actor, purpose="Reads letters.",
        data_class="PHI", monthly_budget_usd=100, status="APPROVED", requested_at=now,
        expires_date=now.date() + timedelta(days=60), decided_at=now,
        decided_by=finance("owns the model"), tokens_per_minute=PLENTY,
    )  # fmt: skip
    Grant.objects.create(
        request=asked, team=team, registered_model=model, tokens_per_minute=PLENTY,
        active_from=now - timedelta(days=1), active_to=now + timedelta(days=60),
    )  # fmt: skip


def decide(*, detectors: bool, capture: bool) -> None:
    """Let the rules that ship look at the calls or at another model's alone, and let both halves of
    each call be kept before it goes on, or nothing. Gates read it within seconds.
    """
    _decide_rules(detectors)
    _decide_capture(capture)


def _decide_rules(detectors: bool) -> None:
    from apps.accounts.models import Role
    from apps.gateway.guard import actions
    from apps.gateway.guard.queries import in_force
    from apps.gateway.guard.rules import RuleSet, Scope
    from apps.gateway.guard.shipped import SHIPPED
    from tests.factories import UserFactory

    elsewhere = [replace(one, scope=Scope(models=("another",))) for one in SHIPPED.rules]
    rules, now = SHIPPED if detectors else RuleSet(tuple(elsewhere)), datetime.now(UTC)
    if in_force(now).rules.as_json() == rules.as_json():
        return
    change = actions.propose_guardrails(
        rules=rules, justification="Measured.", now=now,
        requester=UserFactory(with_roles=[Role.PLATFORM_ENGINEER]),
    )  # fmt: skip
    reviewer = UserFactory(with_roles=[Role.REVIEWER])
    actions.approve_guardrails(change=change, approver=reviewer, reason="Measured.", now=now)


def _decide_capture(capture: bool) -> None:
    from apps.accounts.models import Role
    from apps.catalog.models import DataClass
    from apps.prompts.rules import actions
    from apps.prompts.rules.queries import rules_of
    from apps.prompts.rules.rules import Mode, Rules
    from tests.factories import UserFactory

    mode, now = Mode.REQUIRED if capture else Mode.OFF, datetime.now(UTC)
    rules = Rules(Mode.REQUIRED.value, 365, {MODEL: mode.value})
    if rules_of(DataClass.PHI, now).rules.as_json() == rules.as_json():
        return
    auditor = UserFactory(with_roles=[Role.AUDITOR])
    change = actions.propose_retention(
        data_class=DataClass.PHI, rules=rules, justification="Measured.", requester=auditor,
        now=now,
    )  # fmt: skip
    reviewer = UserFactory(with_roles=[Role.REVIEWER])
    actions.approve_retention(change=change, approver=reviewer, reason="Measured.", now=now)
