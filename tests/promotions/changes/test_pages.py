"""What the dossier says of a promotion's changes."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.promotions.changes import pages
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.models import Promotion
from tests.factories import NOW, RegisteredModelFactory
from tests.promotions import factories as make
from tests.promotions.changes.records import ready

pytestmark = pytest.mark.django_db
DIFFERENCE = {"field": "description", "wrote": "sha256:aa", "found": "<b>other</b>"}


@pytest.fixture
def promotion(registered_model, alice, settings):
    settings.SERVICENOW_URL = "https://acme.service-now.com"
    return make.proposed(registered_model, 1, alice)


def keep(promotion, **facts):
    row = ready(
        promotion=promotion,
        correlation_id=f"quartermaster:normal:{promotion.pk}:{len(facts)}",
        **facts,
    )
    row.save()
    return row


def only(promotion):
    (found,) = pages.shown(promotion, NOW)
    return found


class TestShown:
    def test_says_why_there_is_none(self, promotion, settings):
        assert only(promotion).badge.words == "Missing"
        settings.SERVICENOW_URL = ""
        found = only(promotion)
        assert found.badge is None
        assert "No ServiceNow is configured" in found.words

    @pytest.mark.parametrize(
        ("facts", "badge", "words"),
        [
            ({}, "Scheduled, open", "It lets the rollout start."),
            ({"state": "-4", "state_words": "Assess", "approval": "requested"}, "Assess",
             "waits for its approval"),
            ({"reason": "AWAY", "message": "Not in time."}, "Not known", "Not in time."),
            ({"reason": "GONE", "message": "Gone."}, "In doubt", "Gone."),
            ({"differences": [DIFFERENCE]}, "Altered", "no longer says"),
            ({"status": "OPENING", "number": "", "state": ""}, "To be opened", "to be opened"),
            ({"status": "CLOSED", "closed_at": NOW, "state": "4"}, "Closed by somebody",
             "was canceled"),
            ({"status": "CLOSED", "closed_at": NOW, "outcome": "UNSUCCESSFUL",
              "outcome_notes": "Aborted."}, "Closed: unsuccessful", "Aborted."),
            ({"kind": "EMERGENCY"}, "Scheduled, open", "stands beside the rollout"),
        ],
    )  # fmt: skip
    def test_says_where_it_stands(self, facts, badge, words, promotion):
        keep(promotion, **facts)
        found = only(promotion)
        assert found.badge.words == badge
        assert words in found.words

    def test_once_the_rollout_started_it_only_follows(self, registered_model, settings):
        settings.SERVICENOW_URL = "https://acme.service-now.com"
        promotion = make.live(registered_model, 1).promotion
        keep(promotion, state="-1", state_words="Implement")
        assert only(promotion).words == "The rollout has started; it is closed with the outcome."

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            ("WITHDRAWN", "It is canceled: the proposal is withdrawn."),
            ("REJECTED", "It is canceled: the proposal is rejected."),
            ("EMERGENCY", "It is canceled: the version was rolled forward in an emergency."),
        ],
    )
    def test_says_that_it_is_canceled_where_nothing_starts_by_it(self, promotion, status, words):
        keep(promotion)
        Promotion.objects.filter(pk=promotion.pk).update(status=status, decided_at=NOW)
        promotion.refresh_from_db()
        assert only(promotion).words == words

    def test_every_outcome_has_its_badge(self):
        assert set(pages.ENDS) == set(ChangeRecord.Outcome)


class TestPromotionDetail:
    def test_shows_the_change_and_what_was_altered(self, promotion, client, charlie):
        keep(promotion, differences=[DIFFERENCE], conflicts=["CHG7: same machines"])
        client.force_login(charlie)
        page = client.get(reverse("promotions:promotion_detail", args=[promotion.pk])).text
        assert "https://acme.service-now.com/change_request.do?sys_id=" in page
        assert "&lt;b&gt;other&lt;/b&gt;" in page
        assert "CHG7: same machines" in page
        assert "2 Nov 08:00 UTC to 2 Nov 10:00 UTC" in page
        assert Promotion.objects.count() == 1


def asked(user, promotion):
    client = APIClient()
    client.force_authenticate(user)
    return client.get(reverse("api:promotion_changes", args=[promotion.pk])).json()


class TestApi:
    def test_answers_the_gate_and_the_changes(self, promotion, charlie, monkeypatch):
        other = make.proposed(RegisteredModelFactory(name="clinical-summary"), 1, charlie)
        keep(other, number="CHG1", conflicts=["CHG7"])
        keep(promotion, approval="requested", differences=[DIFFERENCE])
        monkeypatch.setattr("apps.promotions.changes.api.now", lambda: NOW)
        answer = asked(charlie, promotion)
        assert (answer["needed"], answer["open_for_start"]) == (True, False)
        (change,) = answer["changes"]
        assert change["number"] == "CHG0031177"
        assert change["url"].endswith(f"sys_id={'a' * 32}")
        assert change["differences"] == [DIFFERENCE]
        assert change["message"] == ""

    def test_answers_that_there_is_none(self, promotion, charlie, settings):
        settings.SERVICENOW_URL = ""
        answer = asked(charlie, promotion)
        assert (answer["needed"], answer["open_for_start"]) == (False, True)
        assert answer["changes"] == []
