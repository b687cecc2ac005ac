"""Setting budgets, asking for changes and boosts of them, deciding, and ending.

Whoever sets a budget may make it stricter alone. What lets more be spent is a request that another
person decides about, here and by the database's own guards; so is the end of a budget.
"""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from apps.access.budgets import terms as rules
from apps.access.budgets.models import Boost, BoostEnd, Budget, BudgetChange, Unit
from apps.access.budgets.terms import Terms, terms_of
from apps.access.models import Grant
from apps.accounts.models import CostCenter, Team, User
from apps.accounts.roles import ASKS_FOR_MODELS
from apps.audit.actions import record
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.common import decisions
from apps.common.errors import DomainError, require
from apps.common.money import exact
from apps.common.sign_ins import require_fresh_sign_in

CAME_WITH_ACCESS = "Asked for with the access, and approved with it."
REPLACED = "Replaced by its change."


class CannotBudget(DomainError):
    """The budget, change or boost cannot be as it stands. problems: what is wrong with which field,
    where it is one.
    """

    code = "cannot_budget"

    def __init__(self, words: str, problems: dict[str, str] | None = None) -> None:
        super().__init__(words)
        self.problems = problems or {}


class BudgetChanged(DomainError):
    """The budget is no longer what the request was made on."""

    code = "budget_changed"


@transaction.atomic
def set_budget(
    *,
    cost_center: CostCenter | None = None,
    team: Team | None = None,
    model: RegisteredModel | None = None,
    unit: str,
    terms: Terms,
    reason: str,
    actor: User,
    now: datetime,
) -> Budget:
    """Set a budget where there is none, from now on: of a cost center, of a team, or of a team and
    a model.

    Raises NotPermitted unless the actor sets budgets of that scope and has just signed in;
    CannotBudget where the terms are out of bounds, or the scope has a budget of this unit.
    """
    budget = Budget(
        cost_center=cost_center,
        team=team,
        registered_model=model,
        unit=unit,
        active_from=now,
        set_by=actor,
        reason=reason,
        **vars(terms),
    )
    require(budget.is_set_by(actor), f"Only a {budget.decider()} sets this budget.")
    require_fresh_sign_in(actor)
    _check(terms, unit)
    try:
        with transaction.atomic():
            budget.save(force_insert=True)
    except IntegrityError:
        raise CannotBudget(
            f"There is a budget of {budget.scope} in this unit already. Change that one."
        ) from None
    _record(Action.BUDGET_SET, budget, actor, now, reason=reason)
    return budget


def _check(terms: Terms, unit: str) -> None:
    if wrong := rules.problems(terms, unit):
        raise CannotBudget(" ".join(wrong.values()), wrong)


def _record(action: Action, budget: Budget, actor: User, now: datetime, **more: object) -> None:
    data = {"unit": budget.unit, "series": str(budget.series)} | rules.as_data(terms_of(budget))
    record(action=action, actor=actor, target=budget, now=now, data=data | more)


def may_ask(budget: Budget, user: User) -> bool:
    """Tell whether this person may ask for a change or a boost: whoever sets it, and who asks for
    models in the name of its team.
    """
    leads = budget.team_id is not None and budget.team_id == user.team_id
    return budget.is_set_by(user) or (leads and user.has_role(*ASKS_FOR_MODELS))


def permit_asking(budget: Budget, user: User) -> None:
    """Raise NotPermitted unless this person may ask for a change or a boost of a budget."""
    lead = f"a team lead of {budget.team}, or " if budget.team_id else ""
    require(may_ask(budget, user), f"Only {lead}a {budget.decider()} asks for this.")


@transaction.atomic
def change_budget(
    *, budget: Budget, terms: Terms, reason: str, actor: User, now: datetime
) -> Budget | BudgetChange:
    """Change what a budget says from now on, where the actor sets it and no more can be spent; else
    ask for the change, which another person decides about.

    Raises NotPermitted unless the actor sets the budget or may ask, and where it changes at once
    unless they have just signed in; CannotBudget where the terms are out of bounds, change nothing,
    or another change waits; BudgetChanged where the budget is in force no longer.
    """
    permit_asking(budget, actor)
    _check(terms, budget.unit)
    before = terms_of(budget)
    if terms == before:
        raise CannotBudget("Nothing changes: the budget says this already.")
    if not budget.is_set_by(actor) or rules.loosens(before, terms):
        return _ask_change(budget, terms, reason, actor, now)
    require_fresh_sign_in(actor)
    made = _replace(budget, terms, actor, reason, now)
    _record(Action.BUDGET_CHANGED, made, actor, now, reason=reason, before=rules.as_data(before))
    return made


@transaction.atomic
def request_end(*, budget: Budget, reason: str, requester: User, now: datetime) -> BudgetChange:
    """Ask to end a budget: afterwards it limits nothing, so another person decides. Raises as
    change_budget does.
    """
    require(budget.is_set_by(requester), f"Only a {budget.decider()} asks to end this budget.")
    return _ask_change(budget, terms_of(budget), reason, requester, now, ends=True)


def _ask_change(
    budget: Budget, terms: Terms, reason: str, actor: User, now: datetime, *, ends: bool = False
) -> BudgetChange:
    _in_force(budget, now)
    try:
        with transaction.atomic():
            request = BudgetChange.objects.create(
                budget=budget,
                ends=ends,
                justification=reason,
                requested_by=actor,
                requested_at=now,
                **vars(terms),
            )
    except IntegrityError:
        raise CannotBudget("A change of this budget waits for a decision already.") from None
    facts = {"ends": True} if ends else rules.as_data(terms)
    data = facts | {"justification": reason, "before": rules.as_data(terms_of(budget))}
    record(action=Action.BUDGET_CHANGE_REQUESTED, actor=actor, target=request, now=now, data=data)
    return request


def _in_force(budget: Budget, now: datetime) -> None:
    if not Budget.objects.active(now).filter(pk=budget.pk).exists():
        raise BudgetChanged("This budget has changed or ended meanwhile. Look at it, then ask.")


def _end(budget: Budget, actor: User, reason: str, now: datetime) -> None:
    """End a budget that is in force. Raises BudgetChanged where it is not, or not any more."""
    current = Budget.objects.active(now).filter(pk=budget.pk, ended_by=None)
    if not current.update(active_to=now, ended_by=actor, end_reason=reason):
        raise BudgetChanged("This budget has changed or ended meanwhile. Look at it, then ask.")


def _replace(
    old: Budget,
    terms: Terms,
    actor: User,
    reason: str,
    now: datetime,
    *,
    change: BudgetChange | None = None,
    grant: Grant | None = None,
    active_to: datetime | None = None,
) -> Budget:
    """Put a row with other terms in the place of a budget that is in force."""
    _end(old, actor, REPLACED, now)
    return Budget.objects.create(
        series=old.series,
        cost_center=old.cost_center,
        team=old.team,
        registered_model=old.registered_model,
        unit=old.unit,
        active_from=now,
        active_to=active_to or old.active_to,
        set_by=actor,
        reason=reason,
        change=change,
        grant=grant or old.grant,
        **vars(terms),
    )


def question(asked: BudgetChange | Boost, person: User) -> decisions.Question:
    """Return who decides about a change or a boost, as this person meets it."""
    budget = asked.budget
    return decisions.Question(
        asked,
        person,
        decider=budget.decider(),
        is_decider=budget.is_set_by(person),
    )


@transaction.atomic
def approve_change(
    *, request: BudgetChange, approver: User, reason: str, now: datetime
) -> Budget | None:
    """Approve a change, which is in force from now on. Returns the budget, None where it ended.

    Raises NotPermitted unless the approver decides and did not ask; AlreadyDecided;
    BudgetChanged where the budget is not what the request was made on.
    """
    decisions.approve(question(request, approver), reason=reason, now=now)
    data = {"reason": reason}
    record(action=Action.BUDGET_CHANGE_APPROVED, actor=approver, target=request, now=now, data=data)
    before = rules.as_data(terms_of(request.budget))
    why = request.justification
    if request.ends:
        _end(request.budget, approver, why, now)
        _record(Action.BUDGET_ENDED, request.budget, approver, now, reason=why)
        return None
    made = _replace(request.budget, terms_of(request), approver, why, now, change=request)
    facts = {"reason": why, "before": before, "request": str(request.pk)}
    _record(Action.BUDGET_CHANGED, made, approver, now, **facts)
    return made


@transaction.atomic
def request_boost(
    *, budget: Budget, amount: Decimal, last_day: date, reason: str, requester: User, now: datetime
) -> Boost:
    """Ask for more in each of a budget's months until the end of `last_day`, in its zone.

    Raises NotPermitted unless the requester may ask; CannotBudget where the amount or the end is
    out of bounds, or another boost waits; BudgetChanged where the budget is in force no longer.
    """
    permit_asking(budget, requester)
    found = {
        "amount": rules.amount_problem(amount, budget.unit),
        "last_day": rules.last_day_problem(last_day, budget.zone, now),
    }
    if wrong := {name: words for name, words in found.items() if words}:
        raise CannotBudget(" ".join(wrong.values()), wrong)
    _in_force(budget, now)
    try:
        with transaction.atomic():
            boost = Boost.objects.create(
                budget=budget,
                amount=amount,
                ends_at=rules.end_of(last_day, budget.zone),
                justification=reason,
                requested_by=requester,
                requested_at=now,
            )
    except IntegrityError:
        raise CannotBudget("A boost of this budget waits for a decision already.") from None
    data = {"amount": exact(amount), "unit": budget.unit, "last_day": last_day.isoformat()}
    data["justification"] = reason
    record(action=Action.BOOST_REQUESTED, actor=requester, target=boost, now=now, data=data)
    return boost


@transaction.atomic
def approve_boost(*, request: Boost, approver: User, reason: str, now: datetime) -> Boost:
    """Approve a boost, which adds its amount from now on.

    Raises NotPermitted unless the approver decides and did not ask; AlreadyDecided; CannotBudget
    where its end has passed.
    """
    if request.ends_at <= now:
        raise CannotBudget("Its end has passed. Reject it, and let the team ask for a new one.")
    decisions.approve(question(request, approver), reason=reason, now=now)
    data = {"reason": reason}
    record(action=Action.BOOST_APPROVED, actor=approver, target=request, now=now, data=data)
    return request


@transaction.atomic
def end_boost(*, boost: Boost, actor: User, reason: str, now: datetime) -> BoostEnd:
    """End a boost that is in force, from now on: less can be spent, so it takes one person.

    Raises NotPermitted unless the actor sets the boost's budget and has just signed in;
    CannotBudget where the boost is not in force, or somebody ended it.
    """
    budget = boost.budget
    require(budget.is_set_by(actor), f"Only a {budget.decider()} ends this boost.")
    require_fresh_sign_in(actor)
    if not Boost.objects.active(now).filter(pk=boost.pk).exists():
        raise CannotBudget("This boost is not in force: there is nothing to end.")
    try:
        with transaction.atomic():
            made = BoostEnd.objects.create(boost=boost, ended_at=now, ended_by=actor, reason=reason)
    except IntegrityError:
        raise CannotBudget("Somebody ended this boost already.") from None
    data = {
        "amount": exact(boost.amount), "unit": budget.unit, "reason": reason,
        "was_to_end_at": boost.ends_at.isoformat(),
    }  # fmt: skip
    record(action=Action.BOOST_ENDED, actor=actor, target=boost, now=now, data=data)
    return made


def may_end(boost: Boost, user: User, now: datetime) -> bool:
    """Tell whether this person may end a boost, and it is one that is in force; one query."""
    is_in_force = Boost.objects.active(now).filter(pk=boost.pk).exists()
    return is_in_force and boost.budget.is_set_by(user)


REJECTED = {BudgetChange: Action.BUDGET_CHANGE_REJECTED, Boost: Action.BOOST_REJECTED}
WITHDRAWN = {BudgetChange: Action.BUDGET_CHANGE_WITHDRAWN, Boost: Action.BOOST_WITHDRAWN}


@transaction.atomic
def reject(
    *, request: BudgetChange | Boost, approver: User, reason: str, now: datetime
) -> BudgetChange | Boost:
    """Reject a change or a boost. Raises NotPermitted and AlreadyDecided as approving does."""
    decisions.reject(question(request, approver), reason=reason, now=now)
    action, data = REJECTED[type(request)], {"reason": reason}
    record(action=action, actor=approver, target=request, now=now, data=data)
    return request


@transaction.atomic
def withdraw(*, request: BudgetChange | Boost, actor: User, now: datetime) -> BudgetChange | Boost:
    """Take back a pending change or boost. Raises NotPermitted unless actor asked; AlreadyDecided
    if it is not pending.
    """
    decisions.withdraw(question(request, actor), now=now)
    record(action=WITHDRAWN[type(request)], actor=actor, target=request, now=now)
    return request


# -- Budgets of grants -----------------------------------------------------------------------------
def give_budget(*, grant: Grant, approver: User, now: datetime) -> Budget:
    """Give a new grant's team the monthly budget that was asked for with it, in the caller's
    transaction: the decision about the access is the decision about it.

    A budget that the team has for the model keeps its other terms, and its end where it has none;
    a new one ends with the grant.
    """
    amount = grant.request.monthly_budget_usd
    mine = {"team": grant.team, "registered_model": grant.registered_model, "unit": Unit.USD}
    old = Budget.objects.active(now).filter(**mine).first()
    if old is not None:
        active_to = None if old.active_to is None else grant.active_to
        terms = replace(terms_of(old), amount=amount)
        made = _replace(
            old, terms, approver, CAME_WITH_ACCESS, now, grant=grant, active_to=active_to
        )
    else:
        made = Budget.objects.create(
            **mine,
            active_from=now,
            active_to=grant.active_to,
            set_by=approver,
            reason=CAME_WITH_ACCESS,
            grant=grant,
            **vars(Terms(amount)),
        )
    action = Action.BUDGET_CHANGED if old else Action.BUDGET_SET
    before = {"before": rules.as_data(terms_of(old))} if old else {}
    _record(action, made, approver, now, reason=CAME_WITH_ACCESS, grant=str(grant.pk), **before)
    return made


def end_with_grant(*, grant: Grant, actor: User, reason: str, now: datetime) -> None:
    """End the budget that came with a grant which somebody ends, in the caller's transaction."""
    came_with_it = Budget.objects.active(now).filter(grant=grant, active_to__isnull=False)
    for budget in came_with_it.named():
        _end(budget, actor, reason, now)
        _record(Action.BUDGET_ENDED, budget, actor, now, reason=reason)
