"""Why a call that was made went on or not: its response code says where it stopped, and the rules
say what stood there. Pure.

What a call got past, it passed: that is a fact, whatever the rules say today. What lies behind the
rule that refused it was never asked.
"""

from collections.abc import Sequence
from dataclasses import replace

from django.urls import reverse

from apps.gateway.refusals import REFUSALS
from apps.gateway.why.checks import Answer, Check, Rule, Verdict
from apps.gateway.why.facts import Facts
from apps.gateway.why.rules import why
from apps.metering.models import FAILURES, Outcome, UsageEvent
from apps.metering.models import REFUSALS as WHY_REFUSED

# the first of a status is its usual one
TODO = {known.status: known.todo for known in reversed(REFUSALS)}
OF_GUARD = next(known.todo for known in REFUSALS[1:] if known.status == 400)
ORDER = list(Rule)
NOT_ASKED = "Not asked: the call had been refused."
EITHER = (
    "Which limit it was is not kept. Tokens of its minute were left in the end: so either as many "
    "calls were under way as may be, or calls under way held the rest of the minute."
)
BY_ITS_HOUR = "That is estimated with its hour, where the engine's counters tell."
GOT_PAST = {
    Rule.TOKEN: "It was taken.",
    Rule.MODEL: "It was known by this name.",
    Rule.REQUEST: "It could be read.",
    Rule.GUARD: "They let it pass.",
}
BY_CODE = {
    401: Rule.TOKEN,
    402: Rule.BUDGET,
    404: Rule.MODEL,
    413: Rule.REQUEST,
    502: Rule.GATE,
    503: Rule.REPLICA,
}


def why_it_was(facts: Facts) -> Answer:
    """Return what became of a call, rule by rule. facts: of its caller, model and moment, with the
    call.
    """
    call = facts.call
    assert call is not None, "facts of a call that was made"  # noqa: S101 - for the type checker
    stopped = _stopped_at(facts)
    found = [check for check in why(facts).checks if check.rule != Rule.REPLICA]
    made = [_seen(check, stopped, facts) for check in found]
    if stopped == Rule.GATE:
        made.append(_refused(Check(Rule.GATE, Verdict.REFUSED, ""), facts))
    made.append(_replica(stopped, facts))
    if stopped in (None, Rule.ANSWER):
        made.append(_answer(stopped, facts))
    return Answer(_with_a_refusal(sorted(made, key=_place), stopped, facts))


def _place(check: Check) -> int:
    return ORDER.index(check.rule)


def _stopped_at(facts: Facts) -> Rule | None:
    """Return the rule at which the call stopped; None for one that was answered."""
    call = facts.call
    code = call.code if call else None
    if code is None or code < 400:
        return None
    if code == 400:
        return Rule.GUARD if call and call.guard else Rule.REQUEST
    if code == 403:  # with a grant it is the token that lacks something
        return Rule.TOKEN if facts.grants else Rule.GRANT
    if code == 429:
        return _limit_of(facts)
    return BY_CODE.get(code, Rule.ANSWER)


def _limit_of(facts: Facts) -> Rule:
    """Return which limit it was that a 429 tells of: how many tokens were used says more than how
    many calls were under way, which nobody keeps. Where tokens were left, it may have been either.
    """
    grant = facts.grants[0] if facts.grants else None
    if grant is None or grant.calls_at_once is None:
        return Rule.MINUTE
    is_full = facts.minute is not None and facts.minute.is_full(grant.tokens_per_minute)
    return Rule.MINUTE if is_full else Rule.AT_ONCE


def _seen(check: Check, stopped: Rule | None, facts: Facts) -> Check:
    """Return a check as the call met it."""
    if stopped == Rule.AT_ONCE and check.rule == Rule.MINUTE:
        return replace(check, verdict=Verdict.UNKNOWN, todo="")  # perhaps it was this one
    if stopped is not None and _place(check) > ORDER.index(stopped):
        return Check(check.rule, Verdict.NOT_REACHED, NOT_ASKED, about=check.about)
    if check.rule != stopped:
        says = GOT_PAST.get(check.rule, check.says)
        return replace(check, verdict=Verdict.PASSED, says=says, todo="")
    if stopped == Rule.BUDGET:
        return check if check.verdict == Verdict.REFUSED else replace(
            check, verdict=Verdict.UNKNOWN, todo=""
        )  # fmt: skip
    return _refused(check, facts)


def _refused(check: Check, facts: Facts) -> Check:
    """Return a check as that which refused the call, in the words of its code."""
    code = (facts.call.code if facts.call else None) or 0
    words = WHY_REFUSED.get(code) or FAILURES.get(code) or "it was not let through"
    says = f"Refused with {code}: {words}."
    if check.rule == Rule.TOKEN and code == 403:
        says = (
            f"Refused with 403 though {facts.caller.words} had a grant: the token named no cost "
            f"center or no end, or the gateway did not carry the grant yet."
        )
    elif check.rule == Rule.GUARD and facts.call:
        says = f"Refused by the rule {', '.join(facts.call.guard)}."
        url = f"{reverse('gateway:guard_hits')}?q={facts.call.kept.event_id}"
        check = replace(check, todo=OF_GUARD, url=url, link="Open what it found")
    elif check.rule == Rule.AT_ONCE:
        says, check = f"{says} {EITHER}", replace(check, perhaps=Rule.MINUTE)
    elif not check.depends and check.rule in (Rule.MODEL, Rule.GRANT, Rule.MINUTE):
        says = f"{says} {check.says}"
    return replace(
        check, verdict=Verdict.REFUSED, says=says, todo=check.todo or TODO.get(code, ""),
        depends=False,
    )  # fmt: skip


def _replica(stopped: Rule | None, facts: Facts) -> Check:
    event = facts.call.event if facts.call else None
    check = Check(Rule.REPLICA, Verdict.PASSED, "A replica took it.")
    if facts.model is not None:
        check = replace(check, url=reverse("catalog:model_detail", args=[facts.name]),
                        link=f"Open {facts.name}")  # fmt: skip
    if stopped == Rule.REPLICA:
        return _refused(check, facts)
    if stopped is not None and stopped != Rule.ANSWER:
        return _seen(check, stopped, facts)
    if event and event.version:
        return replace(check, says=f"A replica of {event.version} took it.")
    if event and not event.response_code:
        return replace(check, verdict=Verdict.UNKNOWN, says="Whether one took it is not known.")
    return check


def _answer(stopped: Rule | None, facts: Facts) -> Check:
    event, code = (facts.call.event, facts.call.code) if facts.call else (None, None)
    if stopped == Rule.ANSWER:
        says = f"The engine, or the gateway on its behalf, answered with {code}."
        return Check(Rule.ANSWER, Verdict.REFUSED, says, "Look at the model's replicas.")
    if code is None:
        return Check(Rule.ANSWER, Verdict.UNKNOWN, "Its response code cannot be read.")
    says = _answered(event) if event else "It was answered."
    if facts.call and facts.call.guard:
        says = f"{says} The rest was held back by {', '.join(facts.call.guard)}."
    return Check(Rule.ANSWER, Verdict.PASSED, says)


def _answered(event: UsageEvent) -> str:
    if event.outcome == Outcome.UNMETERED:
        return _unmetered(event)
    took = f" in {event.duration_ms:,} ms" if event.duration_ms is not None else ""
    if event.input_tokens is None or event.output_tokens is None:
        return f"It was answered{took}."
    return f"Answered{took}: {event.input_tokens:,} tokens in, {event.output_tokens:,} out."


def _unmetered(event: UsageEvent) -> str:
    """Return what is known of an answer that did not tell what the call used."""
    began = "It was answered" if event.response_code else "No answer of it is known"
    why = f"{began}, and nobody told what it used: {event.why_unmetered.lower()}."
    if event.estimated_input_tokens is None or event.estimated_output_tokens is None:
        return f"{why} {BY_ITS_HOUR}"
    read, written = event.estimated_input_tokens, event.estimated_output_tokens
    return f"{why} By what the gate saw pass, about {read:,} tokens in and {written:,} out."


def _with_a_refusal(checks: Sequence[Check], stopped: Rule | None, facts: Facts) -> list[Check]:
    """Return the checks with one that says what refused the call, where none of them does: of a
    budget whose figures the ledger knows by the hour alone.
    """
    if stopped is None or any(check.verdict == Verdict.REFUSED for check in checks):
        return list(checks)
    says = ""
    if stopped == Rule.BUDGET:
        says = "The answer named the budget; the figures below are those of whole hours."
    refusal = _refused(Check(stopped, Verdict.REFUSED, ""), facts)
    refusal = replace(refusal, says=f"{refusal.says} {says}".strip())
    place = next((at for at, check in enumerate(checks) if _place(check) >= ORDER.index(stopped)),
                 len(checks))  # fmt: skip
    return [*checks[:place], refusal, *checks[place:]]
