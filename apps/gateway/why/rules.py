"""Why a call goes on or not: the same rules as the gate's, asked one by one. Pure.

No rule is written here again: whether a grant is in force, says the grant; whether a budget has
something left, limits.decide; what serves, promotions.serving. Here they are put in a call's order
and in words.
"""

from collections.abc import Iterator
from decimal import Decimal

from django.urls import reverse

from apps.access.budgets.models import in_unit
from apps.access.models import Grant
from apps.access.words import at_once_words
from apps.catalog.retirement.words import sentence
from apps.chargeback.budgets.limits import Balance
from apps.chargeback.budgets.words import meter, month_words
from apps.common.counts import counted
from apps.common.periods import day_words, until_words
from apps.gateway.models import PolicyRevision
from apps.gateway.why.checks import Answer, Check, Counter, Rule, Verdict
from apps.gateway.why.facts import Facts
from apps.promotions.serving import State

ANSWERS = (State.LIVE, State.ROLLING_OUT, State.RETURNING, State.DRIFTED)
WAKES = (State.IDLE, State.WAKING)
OF_ITS_WORDS = "It depends on what the call says."


def why(facts: Facts) -> Answer:
    """Return what each rule says of a call by this caller to this model at this moment, in the
    order in which a call meets them.
    """
    found = [_token(facts), _model(facts)]
    if facts.model is not None:
        found += [
            _grant(facts), _request(facts), *_budgets(facts), *_at_once(facts), *_minute(facts),
            _guard(facts), _replica(facts),
        ]  # fmt: skip
    return Answer(found)


def _token(facts: Facts) -> Check:
    who = facts.caller
    named = [f"team {who.team}"] if who.team else []
    named.append(f"cost center {who.cost_center}" if who.cost_center else "a cost center")
    says = (
        f"The portal does not see tokens. The gateway takes one that our issuer signed for it, "
        f"that says when it ends and has not ended, and names {', '.join(named)} and a subject."
    )
    return Check(Rule.TOKEN, Verdict.UNKNOWN, says, depends=True)


def _model(facts: Facts) -> Check:
    url = reverse("catalog:model_list")
    if facts.model is None:
        says = f"No model is called {facts.name}."
        return Check(Rule.MODEL, Verdict.REFUSED, says, "Use a name of the catalog.", url,
                     "Open the catalog")  # fmt: skip
    page = reverse("catalog:model_detail", args=[facts.name])
    gone = facts.retirement
    if gone and gone.is_retired and (gone.ended_at is None or gone.ended_at <= facts.at):
        says = sentence(gone, facts.at)
        return Check(Rule.MODEL, Verdict.REFUSED, says, "Call another model.", url,
                     "Open the catalog")  # fmt: skip
    if facts.state is None:
        says = "What served then is told by its versions."
        return Check(Rule.MODEL, Verdict.UNKNOWN, says, "", page, f"Open {facts.name}")
    if facts.state.state == State.NOT_SERVING:
        says = f"No version of {facts.name} serves: {facts.state.badge.words}."
        todo = f"Its owners, team {facts.model.owner_team}, promote a version."
        return Check(Rule.MODEL, Verdict.REFUSED, says, todo, page, f"Open {facts.name}")
    served = facts.state.live or facts.state.rollout
    says = f"Callers are sent to {served.model_version.name}." if served else "It is served."
    return Check(Rule.MODEL, Verdict.PASSED, says, "", page, f"Open {facts.name}")


# -- Grant and request -----------------------------------------------------------------------------
def _grant(facts: Facts) -> Check:
    who = facts.caller
    if not who.team:
        return _grants_of_cost_center(facts)
    if not facts.grants:
        ask = reverse("access:request_create", args=[facts.name])
        todo = "A team lead asks for access; the model's owner decides."
        return Check(Rule.GRANT, Verdict.REFUSED, _no_grant(facts), todo, ask, "Request access")
    grant = facts.grants[0]
    page = reverse("access:grant_detail", args=[grant.pk])
    says = (
        f"{who.team} may call {facts.name} {until_words(grant.last_day)}, as "
        f"{grant.get_service_class_display().lower()}."
    )
    policy = facts.policy
    if facts.is_now and (policy is None or policy.status != PolicyRevision.Status.ACTIVE):
        told = (policy and policy.message) or "The gateway does not carry it yet."
        says = f"{says} It is being published: {told}"
        url = reverse("gateway:policy_detail", args=[facts.name])
        return Check(Rule.GRANT, Verdict.UNKNOWN, says, "Try again in a minute.", url,
                     "Open its policy")  # fmt: skip
    if facts.drifts:
        seen = "; ".join(f"{one.found} ({one.get_place_display()})" for one in facts.drifts)
        says = f"{says} The gateway was seen to do otherwise: {seen}."
        todo = "A platform engineer looks at the drift of the gateway."
        return Check(Rule.GRANT, Verdict.UNKNOWN, says, todo, page, "Open the grant")
    return Check(Rule.GRANT, Verdict.PASSED, says, "", page, "Open the grant")


def _no_grant(facts: Facts) -> str:
    team, ended = facts.caller.team, facts.ended
    if ended is None:
        return f"{team} has no grant for {facts.name}, and had none."
    how = "was revoked" if ended.revoked_at else "ended"
    reason = f": {ended.revoke_reason}" if ended.revoke_reason else "."
    return (
        f"The grant of {team} for {facts.name} {how} on {day_words(ended.ended_at.date())}{reason}"
    )


def _grants_of_cost_center(facts: Facts) -> Check:
    have = sorted({grant.team.slug for grant in facts.grants})
    lack = sorted(set(facts.caller.teams) - set(have))
    url = reverse("grant_list")
    if not have:
        says = f"No team of cost center {facts.caller.cost_center} has a grant for {facts.name}."
        return Check(Rule.GRANT, Verdict.REFUSED, says, "Their leads ask for access.", url,
                     "Open the grants")  # fmt: skip
    if lack:
        says = f"It depends on the team: {', '.join(have)} may call it, {', '.join(lack)} may not."
        return Check(Rule.GRANT, Verdict.UNKNOWN, says, "Ask about one team.", url,
                     "Open the grants")  # fmt: skip
    says = f"Each team of the cost center may call it: {', '.join(have)}."
    return Check(Rule.GRANT, Verdict.PASSED, says, "", url, "Open the grants")


def _request(facts: Facts) -> Check:
    says = (
        f"{OF_ITS_WORDS} A body that is not JSON, repeats a key, or asks for what the grant does "
        f"not allow or for more than the model takes is refused with 400; one that is larger than "
        f"the gateway takes, with 413."
    )
    url = reverse("gateway:how_to_call", args=[facts.name])
    return Check(Rule.REQUEST, Verdict.UNKNOWN, says, "", url, "How to call it", depends=True)


# -- What is counted -------------------------------------------------------------------------------
def _budgets(facts: Facts) -> Iterator[Check]:
    """Yield a check for each budget that the call counts against, as limits.decide sees them."""
    if not facts.balances:
        yield Check(Rule.BUDGET, Verdict.PASSED, "No budget is set for its cost center or team.")
    refused = {left.budget.pk for left in facts.decision.refused_by}
    for left in facts.balances:
        yield _budget(left, is_refused=left.budget.pk in refused)


def _budget(left: Balance, *, is_refused: bool) -> Check:
    said = meter(left)
    counter = Counter(
        left.spent + left.settled, left.reserved, left.limit, said.text, left.end, said.note
    )
    todo = ""
    if is_refused:
        says = f"It is spent for {month_words(left)}."
        todo = f"Ask for a boost; a {left.budget.decider()} decides. It begins anew with the month."
    elif left.available <= 0:
        says = f"It is spent for {month_words(left)}, and only warns."
    else:
        says = f"{in_unit(left.available, left.budget.unit)} are left in {month_words(left)}."
    return Check(
        Rule.BUDGET,
        Verdict.REFUSED if is_refused else Verdict.PASSED,
        says,
        todo,
        said.url,
        "Open the budget",
        about=left.budget.scope,
        counter=counter,
    )


def _only(facts: Facts) -> Grant | None:
    """Return the grant whose terms count, where one team is asked about."""
    return facts.grants[0] if facts.caller.team and facts.grants else None


def _at_once(facts: Facts) -> Iterator[Check]:
    grant = _only(facts)
    if grant is None:
        return
    limit, under_way = grant.calls_at_once, facts.under_way
    page = reverse("access:grant_detail", args=[grant.pk])
    if limit is None:
        yield Check(Rule.AT_ONCE, Verdict.PASSED, "Any number of calls may be under way.")
    elif under_way is None:
        says = f"{at_once_words(limit)}. How many are under way is not counted here."
        yield Check(Rule.AT_ONCE, Verdict.UNKNOWN, says, "", page, "Open the grant")
    else:
        is_full = under_way >= limit
        counter = Counter(Decimal(0), Decimal(under_way), Decimal(limit),
                          f"{under_way:,} of {limit:,} under way")  # fmt: skip
        yield Check(
            Rule.AT_ONCE, Verdict.REFUSED if is_full else Verdict.PASSED,
            f"{counted(under_way, 'call is', 'calls are')} under way of {limit:,} at most.",
            "Wait for one to end, or ask for more." if is_full else "", page, "Open the grant",
            counter=counter,
        )  # fmt: skip


def _minute(facts: Facts) -> Iterator[Check]:
    grant, minute = _only(facts), facts.minute
    if grant is None:
        return
    limit = grant.tokens_per_minute
    page = reverse("access:grant_detail", args=[grant.pk])
    if minute is None or minute.used is None:
        says = f"{limit:,} at most. How many were used in that minute is not known."
        yield Check(Rule.MINUTE, Verdict.UNKNOWN, says, "", page, "Open the grant")
        return
    is_full = minute.is_full(limit)
    note = "" if minute.exact else "By the calls that began in this minute and are counted so far."
    counter = Counter(Decimal(minute.used), Decimal(minute.held), Decimal(limit),
                      f"{minute.used + minute.held:,} of {limit:,} tokens", minute.resets_at,
                      note)  # fmt: skip
    when = "are used in this minute" if facts.is_now else "were used in that minute"
    held = f", and calls under way hold {minute.held:,}" if minute.held else ""
    says = f"{minute.used:,} of {limit:,} tokens {when}{held}."
    if is_full and not facts.is_now and facts.call is None:
        says = f"{says} What was left of it at that moment is not kept."
        yield Check(Rule.MINUTE, Verdict.UNKNOWN, says, "", page, "Open the grant", counter=counter)
        return
    yield Check(
        Rule.MINUTE, Verdict.REFUSED if is_full else Verdict.PASSED, says,
        "Wait until the next minute, or ask for more." if is_full else "", page, "Open the grant",
        counter=counter,
    )  # fmt: skip


# -- What the call says, and what answers it -------------------------------------------------------
def _guard(facts: Facts) -> Check:
    url = reverse("gateway:guardrails")
    rules = counted(facts.guardrails, "rule looks", "rules look")
    says = f"{OF_ITS_WORDS} {rules} for what may not go to this model, or may not come from it."
    return Check(Rule.GUARD, Verdict.UNKNOWN, says, "", url, "Open the guard rules", depends=True)


def _replica(facts: Facts) -> Check:
    page = reverse("catalog:model_detail", args=[facts.name])
    link = f"Open {facts.name}"
    if facts.state is None:
        says = "Which replicas were ready then is not kept for every moment."
        return Check(Rule.REPLICA, Verdict.UNKNOWN, says, "", page, link)
    state, said = facts.state.state, facts.state.badge.words
    if state in ANSWERS:
        return Check(Rule.REPLICA, Verdict.PASSED, f"{said}.", "", page, link)
    if state in WAKES:
        says = f"{said}: the first call is refused with 503, is counted, and wakes it."
        todo = "Send it again after the seconds in Retry-After; the samples do."
        return Check(Rule.REPLICA, Verdict.REFUSED, says, todo, page, link)
    if state == State.UNKNOWN:
        return Check(Rule.REPLICA, Verdict.UNKNOWN, f"{said}.", "", page, link)
    todo = f"Wait, or ask its owners, team {facts.model.owner_team}." if facts.model else ""
    return Check(Rule.REPLICA, Verdict.REFUSED, f"{said}: no replica answers.", todo, page, link)
