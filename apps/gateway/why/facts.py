"""What the rules are asked about: a caller, a model, a moment, and what is known of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.access.models import Grant
from apps.catalog.models import RegisteredModel
from apps.catalog.retirement.models import Retirement
from apps.chargeback.budgets.limits import Balance, Decision
from apps.gateway.effective.models import GatewayDrift
from apps.gateway.models import PolicyRevision
from apps.metering.models import UsageEvent
from apps.metering.quarantine.models import QuarantinedRecord
from apps.promotions.serving import ServingState


@dataclass(frozen=True)
class Caller:
    """Who calls. team: its slug; "" for a cost center alone. cost_center: its code, "" where none
    is known. words: who that is, for people. teams: those of a cost center that is asked about
    alone.
    """

    team: str
    cost_center: str
    words: str
    teams: Sequence[str] = ()


@dataclass(frozen=True)
class Held:
    """What the gate held for a call, or settled it by. tokens and usd in words; None: nothing of it
    is kept. is_open: the call is under way.
    """

    reserved: str | None = None
    settled: str | None = None
    is_open: bool = False


@dataclass(frozen=True)
class PastCall:
    """A call that was made, as it is stored. guard: names of the rules that blocked it or its
    answer.
    """

    event: UsageEvent | None
    record: QuarantinedRecord | None
    held: Held = Held()
    guard: tuple[str, ...] = ()

    @property
    def kept(self) -> UsageEvent | QuarantinedRecord:
        """Return what is stored of it. Raises ValueError where nothing is."""
        found = self.event or self.record
        if found is None:
            raise ValueError("a call is counted or kept apart")
        return found

    @property
    def code(self) -> int | None:
        """Return its response code; None where it cannot be read."""
        if self.event:
            return self.event.response_code
        told = self.record.values.get("response_code", "") if self.record else ""
        return int(told) if isinstance(told, str) and told.isdecimal() and len(told) == 3 else None


@dataclass(frozen=True)
class Minute:
    """Tokens per minute. used: tokens that count in the minute of the moment, None: not known.
    held: how many more calls under way hold of it. exact: by the gate's own counter.
    """

    used: int | None
    resets_at: datetime
    held: int = 0
    exact: bool = False

    def is_full(self, limit: int) -> bool:
        """Tell whether nothing was left of the minute when it was looked at."""
        return self.used is not None and self.used + self.held >= limit


@dataclass(frozen=True)
class Facts:
    """What is known of a caller, a model and a moment.

    model: None where there is none of this name. grants: those in force then, of the caller's team
    or of the cost center's teams; ended: the newest that had ended. decision: of a call that uses
    as little as any. state: what callers of the model meet, None for another time than now.
    under_way: how many calls of the team to the model are under way, None where nobody counts them.
    guardrails: how many rules of the guard were in force. drifts: in what of it the gateway was
    seen to do otherwise.
    """

    caller: Caller
    name: str
    at: datetime
    is_now: bool
    model: RegisteredModel | None
    retirement: Retirement | None
    state: ServingState | None
    grants: Sequence[Grant]
    ended: Grant | None
    policy: PolicyRevision | None
    balances: Sequence[Balance]
    decision: Decision
    minute: Minute | None = None
    under_way: int | None = None
    guardrails: int = 0
    drifts: Sequence[GatewayDrift] = ()
    call: PastCall | None = None
