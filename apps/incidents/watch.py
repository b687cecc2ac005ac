"""Holding the open episodes against what the rollouts say now."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.incidents import actions, signs
from apps.incidents.models import Episode
from apps.incidents.signs import Sign
from apps.promotions.models import Rollout

# What changes from look to look is one note a minute, not one a look.
NOTE_PAUSE = timedelta(minutes=1)
RELATED = ("model_version__registered_model",)
log = logging.getLogger(__name__)


def watch_rollouts(now: datetime) -> None:
    """Open an episode for each new sign of trouble, note what changed or came back, and close what
    has been right for long enough; one that cannot be written holds up no other. Two queries where
    nothing is wrong.
    """
    found = _signs()
    open_ones = Episode.objects.open().select_related("rollout__model_version__registered_model")
    for episode in open_ones:
        seen = found.pop((episode.kind, episode.rollout_id), None)
        _alone(partial(_go_on, episode, seen, now), f"the incident {episode.pk}")
    for (kind, _), (rollout, sign) in found.items():
        begin = partial(actions.open_episode, kind=kind, rollout=rollout, words=sign.words, now=now)
        _alone(begin, f"an incident of the rollout {rollout.pk}")


def _alone(step: Callable[[], object], what: str) -> None:
    """Take one step of a sweep; what goes wrong with it is logged, and tried the next time."""
    try:
        with transaction.atomic():
            step()
    except Exception:  # noqa: BLE001 - whatever it is, the others go on
        log.exception("%s could not be looked at", what)


def _signs() -> dict[tuple[str, UUID], tuple[Rollout, Sign]]:
    """Return what is wrong now, by kind and rollout."""
    suspects = Rollout.objects.filter(
        Q(status=Rollout.Status.FAILED)
        | Q(status=Rollout.Status.LIVE, drifted_at__isnull=False)
        | (Q(status__in=Rollout.OPEN) & ~Q(return_reason=""))
    )
    return {
        (sign.kind, rollout.pk): (rollout, sign)
        for rollout in suspects.select_related(*RELATED)
        for sign in signs.signs_of(rollout)
    }


def _go_on(episode: Episode, found: tuple[Rollout, Sign] | None, now: datetime) -> None:
    if found is not None:
        _see(episode, found[1].words, now)
    elif episode.rollout.status in signs.ENDED or _is_quiet(episode, now):
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
