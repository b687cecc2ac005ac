"""The purse of a gate: reserves the most that a call may use before it goes on, and settles what it
used at its end. What it says to a caller whose call does not fit is made here, from the limit that
is short.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.timezone import now

from apps.access.budgets.models import Unit, in_unit
from apps.access.holds.models import Kind
from apps.access.models import ServiceClass
from apps.chargeback.budgets import counters
from apps.common.periods import day_words
from apps.common.zones import ZONES, day_in
from apps.gateway.gate import refusals
from apps.gateway.gate.answers import Used
from apps.gateway.gate.calls import Call
from apps.gateway.gate.reading import Bounds
from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.steps import Away
from apps.gateway.purse.bounds import Bound, bound, cost
from apps.gateway.purse.terms import MINUTE, BudgetLimit, Terms, of_grant
from apps.gateway.purse.turns import Answer, Limit, Settled, Short, Wanted, Whose
from apps.gateway.purse.writer import TIMEOUT, Writer
from apps.integrations.postgres import direct
from apps.manifests.gateway import BATCH
from apps.metering.gate.counts import Basis

SECOND = timedelta(seconds=1)
TRY_AGAIN = 1  # seconds, while too many calls are under way: nobody knows when one ends
NOT_READY = "its budgets are being counted for the first time"
DOUBLE = "its request id is another call's"


def from_settings() -> "Budgets":
    """Return the purse of a process of this deployment."""
    longest = timedelta(seconds=settings.GATE_CALL_SECONDS) + MINUTE
    where = partial(direct.address, seconds=TIMEOUT)
    writer = Writer(where, now, longest=longest)
    return Budgets(writer, settings.PORTAL_URL)


@dataclass
class Budgets:
    """The step. One of a gate's process: `load` runs in a thread, the rest in its event loop.

    portal_url: where people find budgets, and ask for access.
    """

    writer: Writer
    portal_url: str
    terms: Terms = field(default_factory=Terms)
    _prompts: dict[UUID, int] = field(default_factory=dict)  # what calls under way read at most
    _lacks_counters: bool = True

    def load(self, now: datetime) -> None:
        """Read budgets, boosts, grants, prices and models, and see that each budget that is new has
        its counter before it counts.
        """
        read = self.terms.load(now)
        if self._lacks_counters:
            self._lacks_counters = False
            counters.make_ready(self.terms.all_budgets(read, now), now)
        elif new := self.terms.unknown(read, now):
            counters.make_ready(new, now)
        self.terms.put_in_force(read, now)

    def bounds_of(self, team: str, model: str) -> Bounds:
        """Return what a team may ask of a model at most, as it is now."""
        known, grant = self.terms.model(model), self.terms.grant(team, model, self.writer.now())
        found = Bounds(context=known.context if known else None)
        is_batch = grant is not None and grant.service_class == ServiceClass.BATCH
        return replace(found, service_class=BATCH) if is_batch else found

    async def reserve(self, call: Call) -> None:
        """Hold the most that the call may use. Raises Refusal 402, 403, 404 or 429; Away."""
        team, model = call.caller.team, self.terms.model(call.model)
        if model is None:
            raise refusals.model_not_found(call.model)
        grant = self.terms.grant(team, call.model, call.at)
        if grant is None:
            raise refusals.not_granted(team, call.model, self.portal_url)
        most = bound(
            call,
            context=model.context,
            overhead=self.terms.overhead(call.model),
            prices=self.terms.prices(call.model, call.at),
        )
        budgets = self.terms.limits(call)
        limits = [*(each.limit for each in budgets), *of_grant(grant, call.at)]
        wanted = Wanted(
            call.id,
            whose(call),
            most.usd,
            most.tokens,
            # more than a minute has passes where it is alone in one
            min(most.tokens, grant.tokens_per_minute),
            limits,
        )
        answer = await self.writer.reserve(wanted)
        if answer.is_held:
            self._prompts[call.id] = most.prompt
            return
        raise self._why(call, most, answer, budgets, limits)

    def _why(
        self,
        call: Call,
        most: Bound,
        answer: Answer,
        budgets: Sequence[BudgetLimit],
        limits: Sequence[Limit],
    ) -> Exception:
        """Return why a call is not held: Refusal, or Away."""
        if answer.is_double:
            # a refusal, for what is held under this id is the other call's and not to be settled
            return refusals.unavailable(DOUBLE)
        if not answer.is_ready:
            self._lacks_counters = True
            return Away(NOT_READY)
        spent = [(budgets[each.limit], each) for each in answer.short if each.limit < len(budgets)]
        if spent:
            # the one that begins anew last first: until then the call cannot pass
            spent.sort(key=lambda found: found[0].ends_at, reverse=True)
            return self._spent(most, spent)
        return self._too_many(call, [limits[each.limit] for each in answer.short])

    def _spent(self, most: Bound, spent: Sequence[tuple[BudgetLimit, Short]]) -> Refusal:
        (found, short), others = spent[0], spent[1:]
        budget, unit = found.budget, found.budget.unit
        wanted = most.usd if unit == Unit.USD else Decimal(most.tokens)
        left = max(Decimal(0), found.limit.most - short.taken)
        team = f"a team lead of {budget.scope[1]} or " if budget.scope[1] else ""
        return refusals.budget_spent(
            scope=found.scope,
            limit=in_unit(Decimal(found.limit.most), unit),
            left=in_unit(left, unit),
            wanted="" if wanted is None else in_unit(wanted, unit),
            resets=f"{day_words(day_in(budget.zone, found.ends_at))}, 00:00 {ZONES[budget.zone]}",
            ask=f"{team}a {found.decider}",
            url=self.portal_url + reverse("chargeback:budget_detail", args=[budget.series]),
            others=[other.scope for other, _ in others],
        )

    def _too_many(self, call: Call, short: Sequence[Limit]) -> Refusal:
        """Return the refusal of a call by its team's tokens in a minute, else by its calls."""
        found = next((limit for limit in short if limit.kind == Kind.MINUTE), short[0])
        most, team = int(found.most), call.caller.team
        if found.kind == Kind.CALLS:
            return refusals.too_many_calls(team, call.model, limit=most, reset=TRY_AGAIN)
        left = found.starts_at + MINUTE - call.at
        reset = max(1, -(-left // SECOND))
        return refusals.too_many_tokens(team, call.model, limit=most, reset=reset)

    async def settle(self, call: Call, used: Used, now: datetime) -> None:
        """Give back what is held, and count what was used, with the gate's next turn. While the
        database is away it is kept in memory, and the lease in the database ends by itself.
        """
        prompt = self._prompts.pop(call.id, 0)
        found = cost(call, used, prices=self.terms.prices(call.model, call.at), prompt=prompt)
        counts = used.basis != Basis.NOTHING
        settled = Settled(call.id, whose(call), found.usd, found.tokens, counts, _told(call, used))
        self.writer.settle(settled)

    async def close(self) -> None:
        """Tell the database what is settled, and let it go: a gate does so before it ends."""
        await self.writer.close()


def _told(call: Call, used: Used) -> dict[str, str | int | None]:
    """Return what was counted of a call, as the ledger may have to take it in."""
    return {
        "operation": call.operation,
        "basis": str(used.basis),
        "completeness": str(used.completeness),
        "input_tokens": used.input_tokens,
        "cached_input_tokens": used.cached_input_tokens,
        "output_tokens": used.output_tokens,
    }


def whose(call: Call) -> Whose:
    """Return which counters a call counts in."""
    return Whose(call.at, call.caller.cost_center, call.caller.team, call.model)
