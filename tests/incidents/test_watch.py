"""Episodes open, go on and end by what the rows of rollouts say."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction

from apps.audit.models import AuditEvent
from apps.catalog import actions as catalog
from apps.catalog.models import ModelVersion
from apps.incidents import actions
from apps.incidents.models import Episode
from apps.incidents.watch import NOTE_PAUSE, QUARANTINE_LASTS, watch_rollouts
from apps.promotions.models import Rollout
from tests.database import unguarded
from tests.factories import NOW, RegisteredModelFactory
from tests.promotions import factories as make

pytestmark = pytest.mark.django_db
QUIET = timedelta(minutes=10)
WRONG = [{"what": "weights", "approved": "sha256:aa", "found": "sha256:bb"}]


@pytest.fixture
def live(registered_model):
    """A live rollout, beside another model's that stays right."""
    make.live(RegisteredModelFactory(name="clinical-summary"), 1)
    return make.live(registered_model, 1)


@pytest.fixture
def failed(registered_model):
    return make.rolled(registered_model, 1, status="FAILED", message="No GPU.")


def change(rollout, **facts):
    Rollout.objects.filter(pk=rollout.pk).update(**facts)


def drift(rollout, differences=WRONG, at=NOW):
    change(rollout, drifted_at=at if differences else None, differences=differences)


def trail():
    return list(
        AuditEvent.objects.filter(target_type="Episode")
        .order_by("recorded_at")
        .values_list("action", flat=True)
    )


def words(episode):
    return [note.words for note in episode.notes.all()]


class TestWatchRollouts:
    def test_opens_one_episode_however_often_it_looks(self, live, enqueued):
        drift(live)
        with enqueued() as sent:
            watch_rollouts(NOW)
            watch_rollouts(NOW + NOTE_PAUSE)
        episode = Episode.objects.get()
        assert (episode.kind, episode.rollout, episode.opened_at) == ("DRIFT", live, NOW)
        assert episode.correlation_id == f"quartermaster:episode:{episode.pk}"
        assert sent == [("incidents.reconcile_episode", {"episode_id": str(episode.pk)})]
        assert trail() == ["incident.began"]

    def test_goes_on_with_the_others_where_one_cannot_be_written(
        self, live, registered_model, monkeypatch, caplog
    ):
        other = Rollout.objects.get(registered_model__name="clinical-summary")
        drift(live)
        watch_rollouts(NOW)
        drift(live, [*WRONG, {"what": "image", "approved": "1", "found": "2"}])
        drift(other)
        with monkeypatch.context() as broken:
            broken.setattr(actions, "note_again", lambda **_: 1 / 0)
            watch_rollouts(NOW + NOTE_PAUSE)
        assert "could not be looked at" in caplog.text
        assert {episode.rollout for episode in Episode.objects.all()} == {live, other}
        watch_rollouts(NOW + NOTE_PAUSE)
        assert "image" in Episode.objects.get(rollout=live).words

    def test_costs_six_queries_where_nothing_is_wrong(self, live, django_assert_num_queries):
        with django_assert_num_queries(6):
            watch_rollouts(NOW)
        assert not Episode.objects.exists()

    def test_notes_what_changed_but_at_most_once_a_minute(self, live):
        drift(live)
        watch_rollouts(NOW)
        drift(live, [*WRONG, {"what": "image", "approved": "1", "found": "2"}])
        watch_rollouts(NOW + NOTE_PAUSE / 2)
        episode = Episode.objects.get()
        assert words(episode) == []
        for _ in range(2):
            watch_rollouts(NOW + NOTE_PAUSE)
        episode.refresh_from_db()
        assert len(words(episode)) == 1
        assert "image: approved 1" in words(episode)[0]
        assert "image" in episode.words
        assert trail() == ["incident.began", "incident.went_on"]

    def test_is_over_only_after_a_while_of_quiet(self, live):
        drift(live)
        watch_rollouts(NOW)
        drift(live, [])
        watch_rollouts(NOW + QUIET)
        watch_rollouts(NOW + 2 * QUIET - timedelta(seconds=1))
        assert Episode.objects.get().status == "OPEN"
        watch_rollouts(NOW + 2 * QUIET)
        watch_rollouts(NOW + 3 * QUIET)
        episode = Episode.objects.get()
        assert (episode.status, episode.closed_at) == ("CLOSED", NOW + 2 * QUIET)
        assert words(episode) == ["What serves is what was approved again."]
        assert trail() == ["incident.began", "incident.over"]

    def test_what_comes_back_soon_is_the_same_episode(self, live):
        drift(live)
        watch_rollouts(NOW)
        drift(live, [])
        watch_rollouts(NOW + timedelta(minutes=1))
        drift(live)
        watch_rollouts(NOW + timedelta(minutes=2))
        episode = Episode.objects.get()
        assert episode.quiet_since is None
        assert trail() == ["incident.began", "incident.went_on"]

    def test_what_comes_back_late_is_another_one(self, live):
        drift(live)
        watch_rollouts(NOW)
        drift(live, [])
        watch_rollouts(NOW + QUIET)
        watch_rollouts(NOW + 2 * QUIET)
        drift(live)
        watch_rollouts(NOW + 3 * QUIET)
        assert Episode.objects.count() == 2
        assert Episode.objects.open().get().opened_at == NOW + 3 * QUIET

    def test_ends_at_once_where_the_version_is_gone(self, failed):
        watch_rollouts(NOW)
        change(failed, status="ABORTED", finished_at=NOW)
        watch_rollouts(NOW + timedelta(seconds=10))
        episode = Episode.objects.get()
        assert (episode.kind, episode.status) == ("ROLLOUT_FAILED", "CLOSED")
        assert words(episode) == ["The rollout was aborted and its version taken back."]

    def test_a_retry_that_fails_again_goes_on_in_the_same_episode(self, failed):
        watch_rollouts(NOW)
        change(failed, status="PROGRESSING", message="")
        watch_rollouts(NOW + timedelta(minutes=1))
        change(failed, status="FAILED", message="Still no GPU.")
        watch_rollouts(NOW + timedelta(minutes=2))
        assert words(Episode.objects.get()) == ["Still no GPU."]


class TestActions:
    @pytest.fixture
    def episode(self, live):
        drift(live)
        watch_rollouts(NOW)
        return Episode.objects.get()

    def test_one_opens_where_two_try(self, live, episode):
        again = actions.open_episode(kind="DRIFT", rollout=live, words="x", now=NOW)
        assert again is None
        assert actions.open_episode(kind="ROLLOUT_FAILED", rollout=live, words="x", now=NOW)

    def test_nothing_is_added_to_one_that_is_over(self, episode):
        assert actions.close_episode(episode=episode, words="Right.", now=NOW)
        assert not actions.close_episode(episode=episode, words="Right.", now=NOW)
        assert not actions.note_again(episode=episode, words="Wrong.", now=NOW)
        assert words(episode) == ["Right."]

    def test_nothing_is_opened_without_its_event(self, live, audit_away):
        from tests.trail import AuditAway

        with audit_away(), pytest.raises(AuditAway), transaction.atomic():
            actions.open_episode(kind="DRIFT", rollout=live, words="x", now=NOW)
        assert not Episode.objects.exists()

    def test_the_database_keeps_what_was(self, episode):
        actions.close_episode(episode=episode, words="Right.", now=NOW)
        mine = Episode.objects.filter(pk=episode.pk)
        for wrong in ({"status": "OPEN", "closed_at": None}, {"words": "Nothing."}):
            with pytest.raises(DatabaseError, match="never"), transaction.atomic():
                mine.update(**wrong)


class TestVersionsTakenOutOfUse:
    """What was signed and is no longer what it was: whoever looks after it is told, at once."""

    WORDS = "model.safetensors: bytes 0 to 67108863 have sha256 aa, expected bb."

    def quarantined(self, version, at=NOW):
        catalog.quarantine_version(
            version=version, reason="DIGEST_MISMATCH", message=self.WORDS, now=at
        )
        return version

    def test_open_an_episode_that_names_file_and_bytes(self, registered_model):
        version = self.quarantined(make.version(registered_model, 3))
        make.version(registered_model, 4)
        for _ in range(2):
            watch_rollouts(NOW)
        (episode,) = Episode.objects.all()
        assert (episode.kind, episode.model_version, episode.rollout) == (
            "QUARANTINED", version, None,
        )  # fmt: skip
        assert episode.words == f"It was taken out of use. {self.WORDS}"
        assert trail() == ["incident.began"]
        event = AuditEvent.objects.get(target_type="Episode")
        assert event.data["version"] == version.name

    def test_are_no_incident_where_nobody_signed_them(self, registered_model):
        version = make.version(registered_model, 3)
        ModelVersion.objects.filter(pk=version.pk).update(status="QUARANTINED", observed_at=NOW)
        with unguarded():
            ModelVersion.objects.filter(pk=version.pk).update(manifest_digest="")
        watch_rollouts(NOW)
        assert not Episode.objects.exists()

    def test_end_after_a_day_where_nobody_calls_them(self, registered_model):
        self.quarantined(make.version(registered_model, 3))
        watch_rollouts(NOW)
        later = NOW + QUARANTINE_LASTS
        watch_rollouts(later)
        assert Episode.objects.open().exists()
        watch_rollouts(later + QUIET)
        (episode,) = Episode.objects.all()
        assert episode.status == "CLOSED"
        assert words(episode) == [
            "Nothing of the version serves callers or is on its way to them any more."
        ]

    def test_go_on_while_callers_are_sent_to_them(self, live):
        self.quarantined(live.model_version)
        watch_rollouts(NOW)
        for days in (2, 30):
            watch_rollouts(NOW + timedelta(days=days))
        episode = Episode.objects.open().get(kind="QUARANTINED")
        assert episode.quiet_since is None
        change(live, status="REPLACED")
        watch_rollouts(NOW + timedelta(days=31))
        watch_rollouts(NOW + timedelta(days=31) + QUIET)
        assert not Episode.objects.open().filter(kind="QUARANTINED").exists()
