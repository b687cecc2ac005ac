"""What the rules found, on its way into the database: noted while calls pass, kept in batches when
the gate reads what people decided. Out of the way of calls; a gate that is killed loses what it
noted since, which the prompt record has where one is kept.
"""

import logging
import threading
from collections.abc import Callable, Iterable

from apps.gateway.gate.calls import Call
from apps.gateway.gate.steps import Finding
from apps.gateway.guard.models import GuardHit

MOST = 20_000  # hits that wait; beyond it new ones are counted and lost
LONGEST_PLACE, LONGEST_NAME = 200, 63
log = logging.getLogger(__name__)
_Key = tuple[object, str, str, str]


class Noted:
    """Hits that wait to be kept: of a call, its half, a rule and a detector, once with how many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[_Key, GuardHit] = {}
        self._lost = 0

    def note(
        self, call: Call, finding: Finding, *, provider: str, rules: str, count: int = 1
    ) -> None:
        """Note what a rule found in a call. rules: the digest of the set in force."""
        key = (call.id, finding.phase, finding.rule, finding.detector)
        with self._lock:
            if key in self._waiting:
                self._waiting[key].count += count
            elif len(self._waiting) >= MOST:
                self._lost += 1
            else:
                self._waiting[key] = _hit(call, finding, provider, rules, count)

    def keep(self, write: Callable[[Iterable[GuardHit]], int]) -> None:
        """Hand all that waits to `write`; what it cannot write waits on. Raises what it raises."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
            lost, self._lost = self._lost, 0
        if lost:
            log.error("%d guard hits were lost: too many waited", lost)
        if not taken:
            return
        try:
            write(taken.values())
        except Exception:
            with self._lock:
                self._waiting = taken | self._waiting
            raise


def _hit(call: Call, finding: Finding, provider: str, rules: str, count: int) -> GuardHit:
    return GuardHit(
        call=call.id,
        at=call.at,
        phase=finding.phase,
        rule=finding.rule,
        provider=provider,
        detector=finding.detector[:LONGEST_NAME],
        does=finding.does.value,
        where=finding.where[:LONGEST_PLACE],
        count=count,
        team=call.caller.team[:LONGEST_NAME],
        model=call.model[:LONGEST_NAME],
        rules=rules,
    )
