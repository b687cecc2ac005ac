"""Gates that spend as fast as they can, each in a process of its own."""

import asyncio
import json
import multiprocessing
import os
import random
import time
import traceback
import uuid
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from multiprocessing.connection import Connection
from typing import Any

from apps.access.holds.models import Kind
from apps.gateway.purse.turns import Limit, Settled, Wanted, Whose
from apps.gateway.purse.writer import Writer

CENT = Decimal("0.01")


@dataclass
class Spent:
    """What one process did. refused: what was wanted and taken, of each call that did not fit."""

    held: int = 0
    used: Decimal = Decimal(0)
    refused: list[tuple[Decimal, Decimal]] | None = None
    tried_again: int = 0


@dataclass(frozen=True)
class Plan:
    """What a process spends: so many calls, so many at once, of up to `most` each, over scopes."""

    address: str
    at: datetime
    calls: int
    at_once: int
    most: Decimal
    whoses: Sequence[Whose]
    limits: Sequence[Limit]
    seed: int


def in_processes(plans: Iterable[Plan], beside: Callable[[], None] = lambda: None) -> list[Spent]:
    """Return what each of the plans came to, all of them at the same time. beside: is called again
    and again meanwhile.
    """
    started = [start(lambda plan=plan: spend(plan)) for plan in plans]
    while any(process.is_alive() for process, _ in started):
        beside()
        time.sleep(0.01)
    return [told(pipe) for _, pipe in started]


def start(work: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Any, Connection]:
    """Start a process that does a piece of work and tells what came of it."""
    mine, its = multiprocessing.Pipe(duplex=False)

    def run() -> None:
        try:
            its.send(asyncio.run(work()))
        except BaseException:
            its.send(traceback.format_exc())
        finally:
            os._exit(0)  # what it shares with its parent stays the parent's

    process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    process.start()
    its.close()
    return process, mine


def told(pipe: Connection) -> Spent:
    found = pipe.recv()
    assert isinstance(found, Spent), found
    return found


async def spend(plan: Plan) -> Spent:
    """Reserve, wait a little and settle, many calls at once."""
    writer = Writer(lambda: plan.address, lambda: plan.at, timeout=30)
    dice = random.Random(plan.seed)  # noqa: S311
    spent = Spent(refused=[])
    left = asyncio.Semaphore(plan.at_once)

    async def call() -> None:
        async with left:
            await one(writer, plan, dice, spent)

    await asyncio.gather(*(call() for _ in range(plan.calls)))
    await writer.flushed()
    await writer.close()
    spent.tried_again = writer.tried_again
    return spent


async def one(writer: Writer, plan: Plan, dice: random.Random, spent: Spent) -> None:
    """Live one call."""
    bound = dice.randint(1, int(plan.most / CENT)) * CENT
    wanted = Wanted(
        uuid.UUID(int=dice.getrandbits(128)), dice.choice(plan.whoses), bound, 10, 0, plan.limits
    )
    answer = await writer.reserve(wanted)
    if not answer.is_held:
        assert answer.short, answer
        spent.refused.append((bound, answer.short[0].taken))
        await asyncio.sleep(dice.random() / 200)
        return
    await asyncio.sleep(dice.random() / 100)
    used = dice.choice([bound, bound / 2, Decimal(0)])
    spent.held += 1
    spent.used += used
    writer.settle(Settled(wanted.id, wanted.whose, used, 5, counts=bool(used)))


def of_team(start: datetime, most: Decimal) -> list[Limit]:
    """Return one limit in dollars, of a team."""
    return [Limit(Kind.USD, 2, start, most)]


def show(found: Sequence[Spent]) -> str:
    """Return what processes did, for a test that fails."""
    return json.dumps([[one.held, str(one.used), len(one.refused or ())] for one in found])
