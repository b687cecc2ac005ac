"""Opening, noting and closing episodes. The portal alone does: an episode is over when what went
wrong is right again, not when somebody says so.
"""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F, Max

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.tasks import enqueue_on_commit
from apps.incidents.models import Episode, EpisodeNote
from apps.promotions.models import Rollout

WATCHER = System("incidents.watch_rollouts")
Status = Episode.Status


@transaction.atomic
def open_episode(
    *,
    kind: str,
    words: str,
    now: datetime,
    rollout: Rollout | None = None,
    version: ModelVersion | None = None,
    model: RegisteredModel | None = None,
    is_page: bool = False,
) -> Episode | None:
    """Open an episode of this kind for a rollout, for a version itself, or for a model with the
    version that serves of it; None where one is open already. is_page: people are paged.
    """
    about = rollout.model_version if rollout else version
    episode = Episode(
        kind=kind, rollout=rollout, model_version=about, registered_model=model, words=words,
        is_page=is_page, opened_at=now, noted_at=now, next_check_at=now,
    )  # fmt: skip
    episode.correlation_id = f"quartermaster:episode:{episode.pk}"
    try:
        with transaction.atomic():
            episode.save(force_insert=True)
    except IntegrityError:
        return None
    data: dict[str, object] = {
        "kind": str(kind), "message": words, "version": str(episode.model_version),
    }  # fmt: skip
    if rollout is not None:
        data["rollout"] = str(rollout.pk)
    if is_page:
        data["paged"] = True
    record(action=Action.INCIDENT_BEGAN, actor=WATCHER, target=episode, now=now, data=data)
    _wake(episode)
    return episode


@transaction.atomic
def note_again(*, episode: Episode, words: str, now: datetime, is_page: bool = False) -> bool:
    """Keep that an open episode goes on with other words, or fired again after a pause. is_page:
    people are paged by now; whoever was, stays so. False where it was closed meanwhile.
    """
    rows = Episode.objects.open().select_for_update(of=("self",)).filter(pk=episode.pk)
    if not rows.exists():
        return False
    _note(episode, words, now)
    paged = {"is_page": True} if is_page else {}
    rows.update(words=words, noted_at=now, quiet_since=None, **paged, **_due(now))
    data = {"message": words}
    record(action=Action.INCIDENT_AGAIN, actor=WATCHER, target=episode, now=now, data=data)
    _wake(episode)
    return True


def begin_quiet(*, episode: Episode, now: datetime) -> None:
    """Keep since when nothing of an open episode was seen."""
    Episode.objects.open().filter(pk=episode.pk, quiet_since=None).update(quiet_since=now)


@transaction.atomic
def close_episode(*, episode: Episode, words: str, now: datetime) -> bool:
    """End an episode. words: why it is over. False where it was closed before."""
    if (
        not Episode.objects.open()
        .filter(pk=episode.pk)
        .update(status=Status.CLOSED, closed_at=now, **_due(now))
    ):
        return False
    _note(episode, words, now)
    data = {"message": words}
    record(action=Action.INCIDENT_OVER, actor=WATCHER, target=episode, now=now, data=data)
    _wake(episode)
    return True


def _note(episode: Episode, words: str, now: datetime) -> None:
    last = episode.notes.aggregate(last=Max("number"))["last"] or 0
    EpisodeNote.objects.create(episode=episode, number=last + 1, noted_at=now, words=words)


def _due(now: datetime) -> dict[str, object]:
    """Return the columns that make the incident's look due, also where one is under way."""
    return {"generation": F("generation") + 1, "attempts": 0, "next_check_at": now}


def _wake(episode: Episode) -> None:
    enqueue_on_commit("incidents.reconcile_episode", episode_id=str(episode.pk))
