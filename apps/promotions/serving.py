"""What serves: the one place that tells a model's, a version's and a rollout's state, in words and
as a badge.

Home, the catalog, the pages of models, versions and rollouts all read it, so that none says "Live"
where another says "drifted". It decides nothing: the rows say what the worker's last look found
(rollouts/live.py), and of a version that sleeps what the observer saw (sleep.py). Where neither was
seen for a while, the state is unknown, and the words say since when.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.badges import Badge
from apps.fleet.queries import Freshness, freshness
from apps.integrations.engine.identity import is_stand_in
from apps.promotions import sleep
from apps.promotions.models import Rollout, RolloutQuerySet
from apps.promotions.rollouts.drift import DRIFT, UNMEASURED
from apps.promotions.rollouts.plan import HoldCode
from apps.promotions.sleep import Sleep

Status = Rollout.Status
HELD = ("NO_TRAFFIC", *HoldCode)  # it stays where it is until somebody acts
RELATED = ("model_version__registered_model", "registered_model", "promotion", "baseline")
# a worker that missed so many looks at a live version does not run
MISSED_LOOKS = 3
LEAST = timedelta(minutes=3)


class State(StrEnum):
    """What callers meet. STARTING: no caller is sent to it yet; ROLLING_OUT: some are. IDLE: asleep
    for $0; WAKING: a replica starts. NOT_SERVING: no caller is sent to it. UNKNOWN: unseen lately.
    """

    LIVE = "LIVE"
    ROLLING_OUT = "ROLLING_OUT"
    RETURNING = "RETURNING"
    STARTING = "STARTING"
    IDLE = "IDLE"
    WAKING = "WAKING"
    DRIFTED = "DRIFTED"
    NOT_READY = "NOT_READY"
    FAILED = "FAILED"
    NOT_SERVING = "NOT_SERVING"
    UNKNOWN = "UNKNOWN"


# States as people choose among them; a badge says more of each, and of which version.
STATE_WORDS = {
    State.LIVE: "Live",
    State.ROLLING_OUT: "Rolling out",
    State.RETURNING: "Going back",
    State.STARTING: "Starting",
    State.IDLE: "Idle",
    State.WAKING: "Waking",
    State.DRIFTED: "Drifted",
    State.NOT_READY: "Not ready",
    State.FAILED: "Rollout failed",
    State.NOT_SERVING: "Not serving",
    State.UNKNOWN: "Not seen lately",
}
# What callers of a live version suffer from: told before anything that is under way beside it.
SUFFERING = (State.DRIFTED, State.NOT_READY)


@dataclass(frozen=True)
class ServingState:
    """A state with its badge. rollout: whose state it is, None where there never was one.

    share: percent of the model's callers that are sent to it. live: a model's live rollout, while
    there is one. sleep: what a live version does that sleeps.
    """

    state: State
    badge: Badge
    rollout: Rollout | None = None
    share: int = 0
    live: Rollout | None = None
    sleep: Sleep | None = None

    @property
    def is_stand_in(self) -> bool:
        """Tell whether the stand-in answers the callers, or did last, instead of a model."""
        answers = self.live or self.rollout
        return answers is not None and is_stand_in(answers.engine)


@dataclass(frozen=True)
class _Seen:
    """What is known beside the rollouts' rows, and until when."""

    now: datetime
    observer: Freshness
    sleeps: Mapping[UUID, Sleep]

    def is_stale(self, rollout: Rollout) -> bool:
        """Tell whether nobody looked at a rollout's version for a while."""
        within = max(LEAST, MISSED_LOOKS * timedelta(seconds=settings.ROLLOUT_LOOK_SECONDS))
        looked = rollout.observed_at
        return rollout.reason == "AWAY" or looked is None or self.now - looked > within


ENDED = {
    Status.REPLACED: Badge("idle", "history", "Replaced"),
    Status.ABORTED: Badge("idle", "ban", "Aborted"),
    Status.SUPERSEDED: Badge("idle", "history", "Superseded"),
}
NEVER = ServingState(State.NOT_SERVING, Badge("draft", "", "Not serving yet"))


# -- Models ----------------------------------------------------------------------------------------


def states(models: Iterable[RegisteredModel], now: datetime) -> dict[int, ServingState]:
    """Return model → what its callers meet: two queries, and four more where a version sleeps."""
    keys = [model.pk for model in models]
    rows = Rollout.objects.filter(registered_model__in=keys)
    newest = rows.order_by("registered_model_id", "-started_at").distinct("registered_model_id")
    found = _loaded(rows, Q(pk__in=newest.values("pk")))
    seen = _seen(found, now)
    grouped: dict[int, list[Rollout]] = {key: [] for key in keys}
    for rollout in found:
        grouped[rollout.registered_model_id].append(rollout)
    return {key: _of_model(rollouts, seen) for key, rollouts in grouped.items()}


def of_model(model: RegisteredModel, now: datetime) -> ServingState:
    """Return what a model's callers meet; as many queries as for a list."""
    return states([model], now)[model.pk]


def _of_model(rollouts: Sequence[Rollout], seen: _Seen) -> ServingState:
    """Return what the callers of a model meet, from its live, open and newest rollouts, newest
    first.
    """
    live = next((item for item in rollouts if item.status == Status.LIVE), None)
    moving = next((item for item in rollouts if item.status in Rollout.OPEN), None)
    failed = rollouts[0] if rollouts and rollouts[0].status == Status.FAILED else None
    serves = _of_live(live, seen, moving, _number(live)) if live else None
    if serves and (serves.state in SUFFERING or not (moving or failed)):
        found = serves
    elif moving:
        found = _of_open(moving, seen, _number(moving))
    elif failed:
        found = _failed(failed, serves)
    elif rollouts:
        found = ServingState(State.NOT_SERVING, Badge("idle", "", "Not serving"), rollouts[0])
    else:
        found = NEVER
    return replace(found, badge=_beside(found, live, moving), live=live)


def _number(rollout: Rollout) -> str:
    return f"v{rollout.model_version.number}"


def _beside(found: ServingState, live: Rollout | None, moving: Rollout | None) -> Badge:
    """Return a model's badge, whose title also says what the badge does not: the other versions."""
    parts = [found.badge.title]
    if live and found.rollout == live and found.state in (State.IDLE, State.WAKING):
        parts.append(f"{_number(live)} is live.")
    if live and moving and found.rollout == moving:
        parts.append(f"{_number(live)} answers the other callers.")
    if live and moving and found.rollout == live:
        parts.append(f"{_number(moving)} is rolling out.")
    return replace(found.badge, title=" ".join(part for part in parts if part))


def _failed(failed: Rollout, serves: ServingState | None) -> ServingState:
    """Return the state of a model whose newest rollout failed. serves: what answers meanwhile."""
    words = f"Rollout of {_number(failed)} failed"
    if serves and serves.rollout:
        is_live = serves.state == State.LIVE
        said = serves.badge.words
        words += f" · {_number(serves.rollout)} live" if is_live else f" · {_small(said)}"
    badge = Badge("bad", "", words, title=failed.message)
    found = serves.sleep if serves else None
    return ServingState(State.FAILED, badge, failed, failed.weight, sleep=found)


def _small(words: str) -> str:
    return words[:1].lower() + words[1:]


# -- Versions and rollouts -------------------------------------------------------------------------


def version_states(versions: Iterable[ModelVersion], now: datetime) -> dict[int, ServingState]:
    """Return version → its state; as many queries as for models, however many versions."""
    keys, models = [], set()
    for version in versions:
        keys.append(version.pk)
        models.add(version.registered_model_id)
    rows = Rollout.objects.filter(registered_model__in=models)
    newest = rows.filter(model_version__in=keys).order_by("model_version_id", "-started_at")
    found = _loaded(rows, Q(pk__in=newest.distinct("model_version_id").values("pk")))
    known = _of_rollouts(found, now)
    made = {}
    for key in keys:
        own = [item for item in found if item.model_version_id == key]
        # what serves, before what was tried since
        own.sort(key=lambda item: item.status != Status.LIVE and item.status not in Rollout.OPEN)
        made[key] = known[own[0].pk] if own else NEVER
    return made


def of_version(version: ModelVersion, now: datetime) -> ServingState:
    """Return a version's state; as many queries as for a list."""
    return version_states([version], now)[version.pk]


def rollout_states(rollouts: Iterable[Rollout], now: datetime) -> dict[UUID, ServingState]:
    """Return rollout → its state; as many queries as for models, however many rollouts."""
    keys = [rollout.pk for rollout in rollouts]
    known = _of_rollouts(_loaded(Rollout.objects.all(), Q(pk__in=keys), of=keys), now)
    return {key: known[key] for key in keys}


def of_rollout(rollout: Rollout, now: datetime) -> ServingState:
    """Return a rollout's state; as many queries as for a list."""
    return rollout_states([rollout], now)[rollout.pk]


def _loaded(rows: RolloutQuerySet, wanted: Q, of: Sequence[UUID] | None = None) -> list[Rollout]:
    """Return the wanted rollouts and the live and open ones of the same models, newest first."""
    if of is not None:
        models = Rollout.objects.filter(pk__in=of).values("registered_model")
        rows = rows.filter(registered_model__in=models)
    now_serving = Q(status__in=(*Rollout.OPEN, Status.LIVE))
    return list(rows.filter(wanted | now_serving).select_related(*RELATED))


def _seen(rollouts: Iterable[Rollout], now: datetime) -> _Seen:
    live = [rollout for rollout in rollouts if rollout.status == Status.LIVE]
    return _Seen(now, freshness(now), sleep.sleeps_of(live, now=now))


def _of_rollouts(rollouts: Sequence[Rollout], now: datetime) -> dict[UUID, ServingState]:
    """Return rollout → its state. rollouts: with the open ones of their models among them."""
    seen = _seen(rollouts, now)
    moving = {item.registered_model_id: item for item in rollouts if item.status in Rollout.OPEN}
    return {
        rollout.pk: _of_rollout(rollout, seen, moving.get(rollout.registered_model_id))
        for rollout in rollouts
    }


def _of_rollout(rollout: Rollout, seen: _Seen, moving: Rollout | None = None) -> ServingState:
    """Return one rollout's state. moving: the rollout that takes the model's callers from it."""
    if rollout.status in Rollout.OPEN:
        return _of_open(rollout, seen)
    if rollout.status == Status.LIVE:
        return _of_live(rollout, seen, moving)
    if rollout.status == Status.FAILED:
        badge = Badge("bad", "", "Failed", title=rollout.message)
        return ServingState(State.FAILED, badge, rollout, rollout.weight)
    return ServingState(State.NOT_SERVING, ENDED[Status(rollout.status)], rollout)


def _of_open(rollout: Rollout, seen: _Seen, number: str = "") -> ServingState:
    """Return the state of a rollout under way: how much of the callers it has. number: "v8", where
    the badge is a model's.
    """
    weight, words = rollout.weight, f"Rolling out {number}".strip() + f" · {rollout.weight} %"
    if rollout.return_reason:
        badge = Badge("bad", "undo-2", f"Going back{f' from {number}' if number else ''}")
        badge = replace(badge, title=rollout.return_message)
        return ServingState(State.RETURNING, badge, rollout, weight)
    if weight and seen.is_stale(rollout):
        badge = _unseen(words, rollout.observed_at, seen.now, rollout.message)
        return ServingState(State.UNKNOWN, badge, rollout, weight)
    if weight and rollout.unready_since:
        badge = Badge("bad", "", f"{words} not answered", title=rollout.message)
        return ServingState(State.NOT_READY, badge, rollout, weight)
    state = State.ROLLING_OUT if weight else State.STARTING
    halted = "paused" if rollout.paused_at else "held" if rollout.reason in HELD else ""
    if halted:
        words = f"{number} {halted}" if number else halted.capitalize()
        badge = Badge("warn", "pause", f"{words} · {weight} %", title=rollout.message)
        return ServingState(state, badge, rollout, weight)
    if rollout.status == Status.PENDING and not number:
        words = "Starting"
    return ServingState(state, Badge("busy", "", words), rollout, weight)


def _of_live(
    rollout: Rollout, seen: _Seen, moving: Rollout | None, number: str = ""
) -> ServingState:
    """Return the state of the version that serves. moving: what takes callers from it. number:
    "v7", where the badge is a model's.
    """
    share = 100 - (moving.weight if moving else 0)
    part = "" if share == 100 else f" · {share} %"
    found = seen.sleeps.get(rollout.pk)
    if rollout.reason == DRIFT:  # until it was seen to be right again, whoever looks or does not
        words = f"{number} drifted" if number else "Drifted"
        state, badge = State.DRIFTED, Badge("bad", "", words + part)
    elif seen.is_stale(rollout):
        state, badge = State.UNKNOWN, _unseen(number or "Live", rollout.observed_at, seen.now)
    elif rollout.unready_since:
        words = f"{number} not ready" if number else "Live · not ready"
        state, badge = State.NOT_READY, Badge("bad", "", words + part)
    elif found is not None and seen.observer.is_stale:
        words = f"{number} asleep or awake" if number else "Asleep or awake"
        state, badge = State.UNKNOWN, _unseen(words, seen.observer.seen_until, seen.now)
    elif found is not None and found.state != sleep.State.AWAKE:
        state, badge = State(found.state), sleep_badge(found)
    elif rollout.reason == UNMEASURED:
        words = f"Live {number}".strip() + ", not measured"
        state, badge = State.LIVE, Badge("warn", "", words + part)
    else:
        state, badge = State.LIVE, Badge("ok", "", f"Live {number}".strip() + part)
    return ServingState(
        state, replace(badge, title=rollout.message), rollout, share, rollout, found
    )


def _unseen(what: str, seen_at: datetime | None, now: datetime, title: str = "") -> Badge:
    """Return the badge of what was not seen lately. what: the only thing that is known."""
    if seen_at is None:
        return Badge("warn", "eye-off", f"{what}, not seen yet", title)
    day = "" if seen_at.date() == now.date() else f"{seen_at.day} {seen_at:%b} "
    return Badge("warn", "eye-off", f"{what}, not seen since {day}{seen_at:%H:%M} UTC", title)


def sleep_badge(found: Sleep) -> Badge:
    """Return what a version that sleeps does now."""
    is_measured = found.starts.median is not None
    if found.state == sleep.State.IDLE:
        takes = f"wakes in {found.wakes_in}" if is_measured else "wake-up not measured"
        return Badge("idle", "circle-pause", f"Idle, {takes}")
    if found.state == sleep.State.WAKING:
        return Badge("busy", "", f"Waking, takes {found.wakes_in}" if is_measured else "Waking")
    return Badge("ok", "", "Awake")
