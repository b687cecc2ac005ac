"""A gate for tests of the guard's answers on the real gateway: the product's passage and
transaction, with rules that stand here. `python -m tests.local.guard_gate HOST:PORT`.

The model "extract" blocks what the prompt did not hold, "other" masks; a request that says slow
meets a rule that does not come back.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import django

django.setup()

from apps.gateway.gate.calls import Call  # noqa: E402
from apps.gateway.gate.passage import Passage  # noqa: E402
from apps.gateway.gate.reading import Bounds  # noqa: E402
from apps.gateway.gate.steps import Does  # noqa: E402
from apps.gateway.gate.transaction import Steps  # noqa: E402
from apps.gateway.guard.answers import InspectedAnswer  # noqa: E402
from apps.gateway.guard.detectors.member_data import member_data  # noqa: E402
from apps.gateway.guard.inspection import ReadyRule  # noqa: E402
from apps.gateway.guard.providers import patterns  # noqa: E402
from apps.gateway.guard.window import Reach  # noqa: E402
from apps.integrations.envoy.server import Patience, Processor, start  # noqa: E402
from tests.gateway.gate.passing import OpenGuard, OpenPurse, OpenRecord  # noqa: E402

PHI = patterns(member_data())


class Never:
    """A provider that does not come back."""

    reach = Reach(0, 0, 0)
    is_near = False

    def may_hold(self, text: str, new: int = 0) -> bool:
        """Ask for everything."""
        return True

    def at_once(self, texts: Any) -> None:
        """Wait to be asked."""

    async def find(self, texts: Any) -> Any:
        """Wait."""
        await asyncio.sleep(3600)


RULES = {
    "extract": ReadyRule("no-leaks", PHI, Does.BLOCK, is_leak=True),
    "other": ReadyRule("hide", PHI, Does.MASK),
}
SLOW = ReadyRule("slow", Never(), Does.BLOCK, timeout_seconds=0.3)


class Guard(OpenGuard):
    """Looks at answers alone."""

    def answer(self, call: Call) -> Any:
        """Return what inspects the call's answer."""
        is_slow = any("slow" in text.text for text in call.texts)
        return InspectedAnswer(call, [SLOW if is_slow else RULES[call.model]], "digest")


async def main(listen: str) -> None:
    """Serve until killed."""
    steps = Steps(purse=OpenPurse(), guard=Guard(), record=OpenRecord())
    steps.load(datetime.now(UTC))

    def begin() -> Passage:
        return Passage(steps, lambda *_: Bounds(), lambda: datetime.now(UTC))

    running = await start(Processor(begin, Patience(5.0, 60.0)), listen)
    await running.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
