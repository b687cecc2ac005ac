"""Carries an evaluation run out: serve candidate and baseline, ask both every packet, score, judge,
take them away again, keep the report.

PENDING   commit the InferenceServices to serving/evals/: their namespace is named by no route
STARTING  wait until the cluster says Ready and each engine answers; say in words for what
RUNNING   ask the packets that have no result yet, for at most half a minute a pass; then judge
ended     commit the removal, look until nothing is left, and lock the report in the registry

A commit is found again by its trailers, a packet by its id and side, the report by its key, so a
pass may die anywhere.

What ends a run: a packet at which an engine stumbles three times, or that it refuses, is a failed
one and counts with nothing said; more than one in ten of a side end the run, for figures over so
few would say nothing. An engine that is away is waited for, a quarter of an hour after its last
answer. And the run ends when its machines may have cost what it was given (runs/costs.py).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from apps.catalog.models import ModelVersion
from apps.common.canonical import digest_of_bytes
from apps.common.leases import retry_at, take_lease
from apps.evals import actions, report
from apps.evals.models import EvalRun, Side
from apps.evals.packets.packet import Packet
from apps.evals.runs import asking, costs, serving
from apps.evals.runs.asking import Asker, Call, Ended
from apps.evals.runs.judging import result_of
from apps.evals.runs.surroundings import CannotRun, Surroundings
from apps.evals.suites.queries import packets_of
from apps.evals.suites.questions import Question
from apps.integrations.engine.client import EngineClient
from apps.integrations.engine.types import Bounds
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.kubernetes.types import ServingStatus
from apps.integrations.s3.client import AlreadyExists
from apps.manifests.serving import longest_start
from apps.manifests.text import CannotRender

POLL = timedelta(seconds=3)
AWAY_LIMIT = timedelta(minutes=15)
RUN_LIMIT = timedelta(hours=6)
PASS_SECONDS = 30.0
# a pass and one answer more stay below the task's limit
BOUNDS = Bounds(seconds=75, size=2_000_000)
STUMBLES = 3
KEPT_AT_ONCE, KEPT_EVERY = 8, 1.0  # answers, seconds
MOST_FAILED = 10  # percent of a side's packets
Status = EvalRun.Status
Clock = Callable[[], float]


@dataclass(frozen=True)
class Work:
    """A run with all that is asked."""

    run: EvalRun
    packets: Sequence[Packet]
    question: Question

    @cached_property
    def by_id(self) -> Mapping[str, Packet]:
        """Return id → packet."""
        return {packet.id: packet for packet in self.packets}


def reconcile_eval_run(
    *,
    run: EvalRun,
    around: Surroundings,
    now: datetime,
    clock: Clock = time.monotonic,
) -> None:
    """Do the next step of a run that is due; nothing when it is not."""
    if not take_lease(run, now=now):
        return
    try:
        _require_usable(run)
        if run.status in EvalRun.OPEN and run.packets_done < run.packets_total:
            _check_limits(run, around, now)  # also while cluster or engine do not answer
        if run.status == Status.PENDING:
            ref = serving.commit(run, around)
            actions.record_deployed(run=run, commit=ref.sha, now=now)
        elif run.status == Status.STARTING:
            _watch(run, around, now)
        elif run.status == Status.RUNNING:
            _ask(run, around, now, clock)
        else:
            _finish(run, around, now)
    except TemporaryError as error:
        _wait_or_give_up(run, around, error, now)
    except (PermanentError, CannotRender) as error:
        _end(run, around, "REFUSED", str(error), now)
    except CannotRun as error:
        _end(run, around, error.reason, str(error), now)


def _require_usable(run: EvalRun) -> None:
    """End a run of which a version was quarantined since it was asked for."""
    if run.status not in EvalRun.OPEN:
        return
    for version in map(run.version_of, run.sides):
        if version.status == ModelVersion.Status.QUARANTINED:
            raise CannotRun("QUARANTINED", f"{version.name} has been quarantined.")


# -- Waiting until both sides serve ----------------------------------------------------------------


def _watch(run: EvalRun, around: Surroundings, now: datetime) -> None:
    found = serving.statuses(run, around)
    machines = serving.machines_of(run, found, now)
    if machines != run.machines:
        actions.record_machines(run=run, machines=machines, now=now)
    _check_limits(run, around, now)
    waiting = {side: status for side, status in found.items() if not status.ready}
    if waiting:
        _wait_for(run, waiting, around, now)
        return
    engines: dict[Side, str] = {}
    for side, status in found.items():
        serving.check_measured(run, side, status)
        with around.engine(serving.base_url(run, side)) as engine:
            engines[side] = engine.version()
    actions.record_serving(run=run, engines=engines, now=now)


def _wait_for(
    run: EvalRun, waiting: dict[Side, ServingStatus], around: Surroundings, now: datetime
) -> None:
    """Say what the first side that is not ready waits for."""
    troubles = [
        serving.what_it_waits_for(run, side, status, around, now)
        for side, status in waiting.items()
    ]
    limit = longest_start(around.start_seconds)
    if now - run.requested_at > limit:
        minutes = int(limit.total_seconds() // 60)
        whose = serving.OF_A_SIDE[next(iter(waiting))]
        words = f"{whose} was not ready after {minutes} minutes. {troubles[0].words}"
        raise CannotRun("NOT_READY", words)
    actions.record_waiting(
        run=run, reason=troubles[0].code, message=troubles[0].words, at=now + POLL, now=now
    )


def _check_limits(run: EvalRun, around: Surroundings, at: datetime) -> None:
    """Raise CannotRun where the run took too long, or its machines may have cost all that it was
    given.
    """
    if run.serving_at is not None and at - run.serving_at > RUN_LIMIT:
        hours = int(RUN_LIMIT.total_seconds() // 3600)
        words = f"{run.packets_done} of {run.packets_total} packets were answered in {hours} hours."
        raise CannotRun("TOO_LONG", words)
    spent = costs.spent_by(run, around.price, at)
    if run.cost_limit_usd is None or spent is None or spent < run.cost_limit_usd:
        return
    words = (
        f"Its machines may have cost ${spent:.2f} by their list prices, and it was given "
        f"${run.cost_limit_usd:.2f}. {run.packets_done} of {run.packets_total} packets were "
        f"answered."
    )
    raise CannotRun("COST_LIMIT", words)


# -- Asking ----------------------------------------------------------------------------------------


def _ask(run: EvalRun, around: Surroundings, now: datetime, clock: Clock) -> None:
    """Ask what has no result yet, at most for one pass; judge where nothing is left."""
    started = clock()

    def at() -> datetime:
        return now + timedelta(seconds=clock() - started)

    def has_time() -> bool:
        return clock() - started <= PASS_SECONDS

    work = Work(run, packets_of(run.suite, run.subset), Question.of_json(run.suite.question))
    with ExitStack() as stack:
        engines = {
            side: stack.enter_context(around.engine(serving.base_url(run, side)))
            for side in run.sides
        }
        _require_there(engines)
        names = {side: run.service_of(side) for side in run.sides}
        asker = Asker(engines, names, work.question.max_tokens, BOUNDS)
        while left := _left(work):
            _check_limits(run, around, at())
            if not has_time():
                actions.continue_soon(run=run, now=now)
                return
            suspects = _suspects(run)
            fresh = [each for each in left if each[0].id not in suspects]
            # those at which an engine stumbled come last and alone: so that none is blamed for
            # another, with which it was under way
            calls = (_calls(work, packet, sides) for packet, sides in fresh or left)
            at_once = run.concurrency if fresh else 1
            stream = asking.answers(calls, asker.ask, at_once=at_once, go_on=has_time)
            with closing(stream) as batches:
                for batch in _gathered(batches, clock):
                    if not _keep(work, batch, at()):
                        return
    actions.record_eval_run(run=run, cost=costs.spent_by(run, around.price, at()), now=now)


def _gathered(batches: Iterable[list[Ended]], clock: Clock) -> Iterator[list[Ended]]:
    """Yield calls that ended, several at once, so that the database costs little beside the
    engines; at once where an engine stumbled. What a kill loses of them is asked again.
    """
    gathered: list[Ended] = []
    since = clock()
    for batch in batches:
        gathered += batch
        is_late = len(gathered) >= KEPT_AT_ONCE or clock() - since >= KEPT_EVERY
        if is_late or any(each.has_stumbled for each in batch):
            yield gathered
            gathered, since = [], clock()
    if gathered:
        yield gathered


def _require_there(engines: Mapping[Side, EngineClient]) -> None:
    """Raise TemporaryError where an engine is away: then no packet is to blame."""
    for side, engine in engines.items():
        if not engine.ready():
            raise TemporaryError(f"{serving.OF_A_SIDE[side]}'s engine does not answer.")


def _left(work: Work) -> list[tuple[Packet, list[Side]]]:
    """Return the packets without a result, with the sides that lack it; every other packet begins
    with the other side.
    """
    run, found = work.run, []
    done = set(run.packet_results.values_list("side", "packet_id"))
    for place, packet in enumerate(work.packets):
        sides = run.sides if place % 2 == 0 else tuple(reversed(run.sides))
        missing = [side for side in sides if (side, packet.id) not in done]
        if missing:
            found.append((packet, missing))
    return found


def _suspects(run: EvalRun) -> frozenset[str]:
    """Return the packets at which an engine stumbled."""
    return frozenset(key.partition(":")[2] for key in run.stumbles)


def _calls(work: Work, packet: Packet, sides: Sequence[Side]) -> list[Call]:
    turns = work.question.turns(packet)
    return [Call(side, packet.id, turns) for side in sides]


def _keep(work: Work, batch: Sequence[Ended], at: datetime) -> bool:
    """Keep how calls ended; False where the run has ended meanwhile. Raises TemporaryError where an
    engine is away, CannotRun where too many packets failed.
    """
    run = work.run
    stumbled = [each for each in batch if each.has_stumbled]
    counts = Counter({key: int(count) for key, count in run.stumbles.items()})
    counts.update(_key(each.call) for each in stumbled)
    given_up = [each for each in stumbled if counts[_key(each.call)] >= STUMBLES]
    ended = [each for each in batch if not each.has_stumbled] + list(map(_as_problem, given_up))
    results = [
        result_of(run, work.by_id[each.call.packet_id], each, work.question.form, at)
        for each in ended
    ]
    if not actions.record_packets(run=run, results=results, stumbles=counts, now=at):
        return False
    if any(each.problem for each in ended):
        _refuse_too_many(run)
    away = next((each for each in stumbled if each.is_away), None)
    if away is not None:
        raise TemporaryError(f"{serving.OF_A_SIDE[away.call.side]}: {away.words}")
    return True


def _key(call: Call) -> str:
    return f"{call.side}:{call.packet_id}"


def _as_problem(ended: Ended) -> Ended:
    words = f"{ended.words} It was tried {STUMBLES} times."
    return Ended(ended.call, problem=asking.STUMBLED, words=words)


def _refuse_too_many(run: EvalRun) -> None:
    """Raise CannotRun where more than one in ten packets of the candidate failed.

    A baseline may fail at any number: its figures then say so (`answered`), and a live version that
    is broken must not hold up the one that would mend it.
    """
    failed = run.packet_results.filter(side=Side.CANDIDATE).exclude(problem="")
    words = list(failed.values_list("problem_words", flat=True))
    if 100 * len(words) > MOST_FAILED * run.packets_total:
        ((often, _),) = Counter(words).most_common(1)
        raise CannotRun(
            "TOO_MANY_FAILED",
            f"{serving.OF_A_SIDE[Side.CANDIDATE]} failed at {len(words)} of {run.packets_total} "
            f"packets, more than {MOST_FAILED} %, so its figures would say nothing. "
            f"Most often: {often}",
        )


# -- Ending ----------------------------------------------------------------------------------------


def _finish(run: EvalRun, around: Surroundings, now: datetime) -> None:
    """Take away what was served, whatever becomes of the report; then lock the report."""
    _remove(run, around, now)
    if run.report_digest and not run.report_key:
        _store_report(run, around, now)


def _remove(run: EvalRun, around: Surroundings, now: datetime) -> None:
    if run.removed_at is not None:
        return
    if not run.remove_commit:
        ref = serving.remove(run, around)
        if ref is None:
            actions.record_removed(run=run, now=now)
        else:
            actions.record_remove_commit(run=run, commit=ref.sha, at=now + POLL, now=now)
        return
    found = serving.statuses(run, around).values()
    if not any(status.exists or status.pods for status in found):
        actions.record_removed(run=run, now=now)
        return
    if any(status.exists for status in found):
        serving.look_at_argo_cd(run, around, now)
    actions.record_waiting(run=run, reason=run.reason, message=run.message, at=now + POLL, now=now)


def _store_report(run: EvalRun, around: Surroundings, now: datetime) -> None:
    """Write the report beside the version, once and locked. One that is there already must be this
    one.
    """
    content, key = report.content(run), report.key_of(run)
    registry = around.registry()
    try:
        until = now + timedelta(days=around.retention_days)
        registry.put_new(key, content, locked_until=until)
    except AlreadyExists:
        there = registry.read_small(key, limit=report.LARGEST)
        if digest_of_bytes(there) != run.report_digest:
            raise
    actions.record_report_stored(run=run, key=key, now=now)


def _wait_or_give_up(
    run: EvalRun, around: Surroundings, error: TemporaryError, now: datetime
) -> None:
    if run.status in EvalRun.OPEN and _waited_long_enough(run, around, now):
        _end(run, around, "AWAY_TOO_LONG", str(error), now)
        return
    at = retry_at(run, now=now, retry_after=error.retry_after)
    ended = run.status not in EvalRun.OPEN
    reason, message = (
        (run.reason, run.message) if ended else ("WAITING", f"{error} Trying again by itself.")
    )
    actions.record_waiting(run=run, reason=reason, message=message, at=at, now=now)


def _waited_long_enough(run: EvalRun, around: Surroundings, now: datetime) -> bool:
    """Tell whether an open run waits no longer: for its start, or for an engine that answered once
    and is away.
    """
    if run.serving_at is None:
        return now - run.requested_at > longest_start(around.start_seconds)
    answered = run.packet_results.order_by("-answered_at").values_list("answered_at", flat=True)
    last = answered.exclude(answered_at=None).first() or run.serving_at
    return now - max(last, run.serving_at) > AWAY_LIMIT


def _end(run: EvalRun, around: Surroundings, reason: str, message: str, now: datetime) -> None:
    """End an open run with an error; of an ended one, only its removal or its report can fail, and
    that is tried again.
    """
    if run.status in EvalRun.OPEN:
        cost = costs.spent_by(run, around.price, now)
        actions.fail_eval_run(run=run, reason=reason, message=message, cost=cost, now=now)
    else:
        actions.record_waiting(
            run=run, reason=run.reason, message=run.message, at=retry_at(run, now=now), now=now
        )
