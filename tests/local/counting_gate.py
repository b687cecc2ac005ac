"""A gate for tests of the gateway that reads and counts calls as the product's does, knows no rule
and no limit but those that a call asks for (limit=tokens, limit=calls), and notes what it settled:
a JSON line a call. Calls of the team `night-shift` are of the class batch, all others interactive.
`python -m tests.local.counting_gate HOST:PORT FILE`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path

import django
from django.utils.timezone import now


class Ledger:
    """A purse that holds nothing, and writes down what was used."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self, now: datetime) -> None:
        """There is nothing to read."""

    async def reserve(self, call: object) -> None:
        """Let every call pass but one that says by which limit it is to be refused."""
        from apps.gateway.gate import refusals

        said = " ".join(text.text for text in call.texts)  # type: ignore[attr-defined]
        if "limit=tokens" in said:
            raise refusals.too_many_tokens("claims-review", "summary", limit=600, reset=23)
        if "limit=calls" in said:
            raise refusals.too_many_calls("claims-review", "summary", limit=5, reset=1)

    async def settle(self, call: object, used: object, now: datetime) -> None:
        """Note the call, and what it used."""
        line = {"id": str(call.id), "texts": len(call.texts), **vars(used)}  # type: ignore[attr-defined]
        with self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")


async def main(listen: str, file: Path) -> None:
    """Serve until killed."""
    from apps.gateway.gate.passage import Passage
    from apps.gateway.gate.reading import Bounds
    from apps.gateway.gate.transaction import Steps
    from apps.integrations.envoy.server import Patience, Processor, start
    from tests.gateway.gate.passing import OpenGuard, OpenRecord

    steps = Steps(purse=Ledger(file), guard=OpenGuard(), record=OpenRecord())

    def bounds_of(team: str, model: str) -> Bounds:
        is_batch = team == "night-shift"
        service_class = "batch" if is_batch else "interactive"
        return Bounds(context=8192, choices=4, service_class=service_class)

    patience = Patience(judgment=5.0, call=60.0)
    running = await start(Processor(lambda: Passage(steps, bounds_of, now), patience), listen)
    await running.wait_for_termination()


if __name__ == "__main__":
    django.setup()
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
