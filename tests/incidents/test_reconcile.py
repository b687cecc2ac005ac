"""An episode's incident in the double of ServiceNow, which is also told to lie. Every step runs
twice: the second time changes nothing.
"""

from datetime import timedelta

import pytest

from apps.audit.models import AuditEvent
from apps.incidents import actions, reconcile
from apps.incidents.models import Episode
from tests.factories import NOW
from tests.integrations.servicenow_double import ADDRESS, Instance
from tests.promotions import factories as make

pytestmark = pytest.mark.django_db
WORDS = "What serves is not what was approved. weights: approved sha256:aa, found sha256:bb."


@pytest.fixture
def instance(tmp_path, settings):
    settings.SERVICENOW_URL = ADDRESS
    settings.SERVICENOW_CALLER = "c" * 32
    return Instance(tmp_path)


class Teller:
    """Tells ServiceNow of one episode, at a time that goes on."""

    def __init__(self, episode, instance):
        self.pk, self.now, self.servicenow = episode.pk, NOW, instance.client()

    @property
    def row(self):
        return Episode.objects.get(pk=self.pk)

    def look(self, times=2):
        for _ in range(times):
            row = self.row
            Episode.objects.filter(pk=row.pk, report="").update(next_check_at=self.now)
            reconcile.reconcile_episode(row=row, servicenow=self.servicenow, now=self.now)
            self.now += timedelta(minutes=1)
        return self.row

    def again(self, words):
        assert actions.note_again(episode=self.row, words=words, now=self.now)

    def over(self):
        assert actions.close_episode(episode=self.row, words="Right again.", now=self.now)


@pytest.fixture
def teller(registered_model, instance):
    rollout = make.live(registered_model, 1)
    episode = actions.open_episode(kind="DRIFT", rollout=rollout, words=WORDS, now=NOW)
    return Teller(episode, instance)


class TestReconcileEpisode:
    def test_opens_one_incident(self, teller, instance):
        row = teller.look()
        (incident,) = instance.incidents()
        assert incident["correlation_id"] == row.correlation_id
        assert incident["short_description"] == (
            "prior-auth-extract-v1 does not serve what was approved"
        )
        assert WORDS in incident["description"]
        assert f"/incidents/{row.pk}/" in incident["description"]
        assert (incident["impact"], incident["urgency"], incident["priority"]) == ("2", "1", "2")
        assert incident["caller_id"] == "c" * 32
        assert (row.number, row.state_words, row.report) == (incident["number"], "New", "")
        assert AuditEvent.objects.filter(action="incident.reported").count() == 1

    def test_what_follows_is_appended_once(self, teller, instance):
        teller.look()
        teller.again("Now the image too.")
        teller.look()
        (incident,) = instance.incidents()
        assert incident["work_notes"].count("Now the image too.") == 1
        assert teller.row.notes.get().sent_at is not None

    def test_a_note_whose_answer_was_lost_is_not_sent_again(self, teller, instance):
        teller.look()
        teller.again("Now the image too.")
        instance.tell("held")
        assert teller.look(1).reason == "AWAY"
        assert teller.look(1).reason == ""
        assert instance.incidents()[0]["work_notes"].count("Now the image too.") == 1

    def test_is_found_again_where_the_answer_came_too_late(self, teller, instance):
        instance.tell("held")
        assert teller.look(1).reason == "AWAY"
        assert teller.look().number == instance.incidents()[0]["number"]
        assert len(instance.incidents()) == 1

    def test_resolves_what_nobody_took(self, teller, instance, settings):
        teller.look()
        teller.over()
        row = teller.look()
        (incident,) = instance.incidents()
        assert (incident["state"], incident["close_notes"]) == ("6", "Right again.")
        assert incident["close_code"] == settings.SERVICENOW_INCIDENT_CLOSE_CODE
        assert "Right again." in incident["work_notes"]
        assert (row.report, row.next_check_at, row.state_words) == ("RESOLVED", None, "Resolved")
        assert AuditEvent.objects.filter(action="incident.resolved").count() == 1

    def test_says_once_that_servicenow_does_not_let_it_be_resolved(
        self, teller, instance, settings
    ):
        teller.look()
        teller.over()
        code, settings.SERVICENOW_INCIDENT_CLOSE_CODE = settings.SERVICENOW_INCIDENT_CLOSE_CODE, ""
        for _ in range(3):
            assert teller.look(1).reason == "REFUSED"
        assert AuditEvent.objects.filter(action="incident.doubted").count() == 1
        settings.SERVICENOW_INCIDENT_CLOSE_CODE = code
        assert teller.look(1).report == "RESOLVED"

    @pytest.mark.parametrize(
        "work", [{"assigned_to": "robin.chen"}, {"state": "3", "hold_reason": "1"}]
    )
    def test_leaves_to_its_people_what_they_have_in_hand(self, work, teller, instance):
        teller.look()
        (incident,) = instance.incidents()
        instance.write("incident", incident["sys_id"], **work)
        teller.over()
        row = teller.look()
        (incident,) = instance.incidents()
        assert row.report == "LEFT"
        assert incident["state"] == work.get("state", "1")
        assert "Right again." in incident["work_notes"]

    def test_does_not_report_what_was_over_before(self, teller, instance):
        teller.over()
        row = teller.look()
        assert instance.incidents() == []
        assert (row.report, row.next_check_at) == ("NONE", None)

    def test_two_are_an_alarm_until_one_is_canceled(self, teller, instance):
        instance.tell("doubled")
        teller.look()
        row = teller.row
        first, second = instance.incidents()
        assert row.reason == "TWO_INCIDENTS"
        assert first["number"] in row.message and second["number"] in row.message
        doubts = AuditEvent.objects.filter(action="incident.doubted")
        assert doubts.count() == 1
        other = first if row.sys_id == second["sys_id"] else second
        instance.write("incident", other["sys_id"], state="8")
        assert teller.look().reason == ""

    def test_makes_none_where_the_look_up_was_widened(self, teller, instance):
        instance.store.insert(
            "incident",
            {"correlation_id": "theirs", "state": "1", "assigned_to": "", "work_notes": ""},
        )
        instance.tell("widened")
        assert teller.look(1).reason == "UNTRUE"
        assert len(instance.incidents()) == 1
        assert teller.look(1).reason == ""

    def test_says_that_it_is_gone_and_makes_no_other(self, teller, instance):
        teller.look()
        instance.store.delete("incident", instance.incidents()[0]["sys_id"])
        assert teller.look().reason == "GONE"
        assert instance.incidents() == []

    def test_a_refusal_is_shown_and_tried_again(self, teller, instance):
        wrong = instance.client(secret="guess")
        teller.servicenow, right = wrong, teller.servicenow
        row = teller.look(1)
        assert row.reason == "REFUSED"
        assert "access_denied" in row.message
        teller.servicenow = right
        assert teller.look().number
        row = teller.row
        reconcile.reconcile_episode(row=row, servicenow=None, now=teller.now)
        assert teller.row.observed_at == row.observed_at
