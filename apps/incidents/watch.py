"""Holding the open episodes against what the rollouts, the versions, the guard, the objectives and
what was measured say now.

Where an objective says so, an episode of a budget that burns fast holds the rollouts of its model:
until it is over, or until somebody lets them go on.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from apps.catalog.models import ModelVersion, RegisteredModel
from apps.incidents import actions, signs
from apps.incidents.blocked import blocked
from apps.incidents.burning import burns
from apps.incidents.models import Episode
from apps.incidents.saturated import saturated
from apps.incidents.signs import Sign
from apps.promotions.holding.actions import hold_rollouts, release_rollouts
from apps.promotions.models import Rollout

# What changes from look to look is one note a minute, not one a look.
NOTE_PAUSE = timedelta(minutes=1)
# Whoever looks after the registry sees what was found there, also where nobody called the version.
QUARANTINE_LASTS = timedelta(days=1)
RELATED = ("model_version__registered_model",)
log = logging.getLogger(__name__)
Subject = tuple[str, object]  # kind, and the row's key: a rollout's, or a version's


@dataclass(frozen=True)
class Found:
    """One sign of trouble, and what it is about. is_page: people are paged for it. holds: rollouts
    of the model are held meanwhile.
    """

    sign: Sign
    rollout: Rollout | None = None
    version: ModelVersion | None = None
    model: RegisteredModel | None = None
    is_page: bool = False
    holds: bool = False


def watch_rollouts(now: datetime) -> None:
    """Open an episode for each new sign of trouble, note what changed or came back, and close what
    has been right for long enough; one that cannot be written holds up no other. Six queries
    where nothing is wrong.
    """
    found = _of_rollouts() | _of_versions(now) | _of_guard(now) | _of_burns(now)
    found |= _of_saturated(now)
    for episode in Episode.objects.open().select_related(
        "rollout", "model_version__registered_model", "registered_model"
    ):
        subject = (episode.kind, _about(episode))
        seen = found.pop(subject, None)
        _alone(partial(_go_on, episode, seen, now), f"the incident {episode.pk}")
    for (kind, _), one in found.items():
        _alone(partial(_begin, kind, one, now), f"an incident of {one.rollout or one.version}")


def _about(episode: Episode) -> object:
    """Return the key of what an episode is about."""
    return episode.registered_model_id or episode.rollout_id or episode.model_version_id


def _begin(kind: str, found: Found, now: datetime) -> None:
    episode = actions.open_episode(
        kind=kind, rollout=found.rollout, version=found.version, model=found.model,
        words=found.sign.words, is_page=found.is_page, now=now,
    )  # fmt: skip
    if episode is not None:
        _hold(episode, found, now)


def _hold(episode: Episode, found: Found, now: datetime) -> None:
    """Hold the rollouts of a model where an objective says so; what somebody lifted is not held
    again by the same episode.
    """
    if found.holds and found.model is not None:
        hold_rollouts(
            model=found.model, cause=episode.correlation_id, words=found.sign.words,
            actor=actions.WATCHER, now=now,
        )  # fmt: skip


def _alone(step: Callable[[], object], what: str) -> None:
    """Take one step of a sweep; what goes wrong with it is logged, and tried the next time."""
    try:
        with transaction.atomic():
            step()
    except Exception:  # noqa: BLE001 - whatever it is, the others go on
        log.exception("%s could not be looked at", what)


def _of_rollouts() -> dict[Subject, Found]:
    """Return what is wrong with rollouts now, by kind and rollout."""
    suspects = Rollout.objects.filter(
        Q(status=Rollout.Status.FAILED)
        | Q(status=Rollout.Status.LIVE, drifted_at__isnull=False)
        | (Q(status__in=Rollout.OPEN) & ~Q(return_reason=""))
    )
    return {
        (sign.kind, rollout.pk): Found(sign, rollout=rollout)
        for rollout in suspects.select_related(*RELATED)
        for sign in signs.signs_of(rollout)
    }


def _of_versions(now: datetime) -> dict[Subject, Found]:
    """Return the versions that were signed and then taken out of use: lately, or still serving."""
    in_use = Rollout.objects.filter(
        Q(status=Rollout.Status.LIVE) | Q(status__in=Rollout.OPEN), model_version=OuterRef("pk")
    )
    suspects = ModelVersion.objects.filter(status=ModelVersion.Status.QUARANTINED).exclude(
        manifest_digest=""
    )
    recent = Q(observed_at__gt=now - QUARANTINE_LASTS)
    return {
        (Episode.Kind.QUARANTINED, version.pk): Found(signs.sign_of(version), version=version)
        for version in suspects.filter(recent | Exists(in_use)).select_related("registered_model")
    }


def _of_guard(now: datetime) -> dict[Subject, Found]:
    """Return the versions whose calls the guard blocked lately."""
    return {
        (Episode.Kind.GUARD, version.pk): Found(Sign(Episode.Kind.GUARD, words), version=version)
        for version, words in blocked(now)
    }


def _of_burns(now: datetime) -> dict[Subject, Found]:
    """Return the models whose error budget burns too fast."""
    return {
        (Episode.Kind.BURN, burn.model.pk): Found(
            Sign(Episode.Kind.BURN, burn.words),
            version=burn.version,
            model=burn.model,
            is_page=burn.is_page,
            holds=burn.holds,
        )
        for burn in burns(now)
    }


def _of_saturated(now: datetime) -> dict[Subject, Found]:
    """Return the versions that have had no room for their callers for a while."""
    kind = Episode.Kind.SATURATED
    return {
        (kind, version.pk): Found(Sign(kind, words), version=version)
        for version, words in saturated(now)
    }


def _go_on(episode: Episode, found: Found | None, now: datetime) -> None:
    ended = episode.rollout is not None and episode.rollout.status in signs.ENDED
    if found is not None:
        _see(episode, found, now)
        _hold(episode, found, now)
    elif ended or _is_quiet(episode, now):
        words = signs.over(episode.kind, episode.rollout)
        actions.close_episode(episode=episode, words=words, now=now)
        release_rollouts(cause=episode.correlation_id, actor=actions.WATCHER, now=now)
    elif episode.quiet_since is None:
        actions.begin_quiet(episode=episode, now=now)


def _see(episode: Episode, found: Found, now: datetime) -> None:
    words = found.sign.words
    came_back = episode.quiet_since is not None
    changed = words != episode.words and now - episode.noted_at >= NOTE_PAUSE
    pages = found.is_page and not episode.is_page
    if came_back or changed or pages:
        actions.note_again(episode=episode, words=words, is_page=found.is_page, now=now)


def _is_quiet(episode: Episode, now: datetime) -> bool:
    quiet = timedelta(seconds=settings.INCIDENT_QUIET_SECONDS)
    return episode.quiet_since is not None and now - episode.quiet_since >= quiet
