"""Holding the open episodes against what the rollouts, the versions and the guard say now."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from apps.catalog.models import ModelVersion
from apps.incidents import actions, signs
from apps.incidents.blocked import blocked
from apps.incidents.models import Episode
from apps.incidents.signs import Sign
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
    """One sign of trouble, and what it is about."""

    sign: Sign
    rollout: Rollout | None = None
    version: ModelVersion | None = None


def watch_rollouts(now: datetime) -> None:
    """Open an episode for each new sign of trouble, note what changed or came back, and close what
    has been right for long enough; one that cannot be written holds up no other. Four queries
    where nothing is wrong.
    """
    found = _of_rollouts() | _of_versions(now) | _of_guard(now)
    for episode in Episode.objects.open().select_related(
        "rollout", "model_version__registered_model"
    ):
        subject = (episode.kind, episode.rollout_id or episode.model_version_id)
        seen = found.pop(subject, None)
        _alone(partial(_go_on, episode, seen, now), f"the incident {episode.pk}")
    for (kind, _), one in found.items():
        begin = partial(
            actions.open_episode, kind=kind, rollout=one.rollout, version=one.version,
            words=one.sign.words, now=now,
        )  # fmt: skip
        _alone(begin, f"an incident of {one.rollout or one.version}")


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


def _go_on(episode: Episode, found: Found | None, now: datetime) -> None:
    ended = episode.rollout is not None and episode.rollout.status in signs.ENDED
    if found is not None:
        _see(episode, found.sign.words, now)
    elif ended or _is_quiet(episode, now):
        words = signs.over(episode.kind, episode.rollout)
        actions.close_episode(episode=episode, words=words, now=now)
    elif episode.quiet_since is None:
        actions.begin_quiet(episode=episode, now=now)


def _see(episode: Episode, words: str, now: datetime) -> None:
    came_back = episode.quiet_since is not None
    changed = words != episode.words and now - episode.noted_at >= NOTE_PAUSE
    if came_back or changed:
        actions.note_again(episode=episode, words=words, now=now)


def _is_quiet(episode: Episode, now: datetime) -> bool:
    quiet = timedelta(seconds=settings.INCIDENT_QUIET_SECONDS)
    return episode.quiet_since is not None and now - episode.quiet_since >= quiet
