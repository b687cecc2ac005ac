"""The pages of incidents, and the same over the API."""

import pytest
from django.urls import reverse

from apps.incidents import actions
from apps.incidents.models import Episode
from apps.promotions.holding.actions import hold_rollouts
from apps.promotions.holding.models import RolloutHold
from apps.promotions.models import Rollout
from tests.factories import NOW, RegisteredModelFactory
from tests.pages import joined
from tests.promotions import factories as make

pytestmark = pytest.mark.django_db
WRONG = [{"what": "weights", "approved": "sha256:aa", "found": "sha256:bb"}]


@pytest.fixture
def drifted(registered_model):
    rollout = make.live(registered_model, 1)
    Rollout.objects.filter(pk=rollout.pk).update(drifted_at=NOW, differences=WRONG)
    return actions.open_episode(kind="DRIFT", rollout=rollout, words="Other weights.", now=NOW)


@pytest.fixture
def failed():
    model = RegisteredModelFactory(name="clinical-summary")
    rollout = make.rolled(model, 4, status="FAILED", message="No GPU.")
    episode = actions.open_episode(kind="ROLLOUT_FAILED", rollout=rollout, words="No GPU.", now=NOW)
    actions.close_episode(episode=episode, words="Taken <back>.", now=NOW)
    return episode


class TestEpisodeList:
    def test_lists_all_with_a_fixed_number_of_queries(
        self, drifted, failed, client, charlie, django_assert_num_queries
    ):
        client.force_login(charlie)
        client.get(reverse("incidents:episode_list"))
        with django_assert_num_queries(8, exact=False):
            page = client.get(reverse("incidents:episode_list")).text
        assert "prior-auth-extract-v1" in page and "clinical-summary-v4" in page
        assert "Other weights." in page

    def test_is_narrowed_and_searched(self, drifted, failed, client, charlie):
        client.force_login(charlie)
        for asked in ({"status": "OPEN"}, {"kind": "DRIFT"}, {"q": "prior-auth-extract-v1"}):
            page = client.get(reverse("incidents:episode_list"), asked).text
            assert "prior-auth-extract-v1" in page and "clinical-summary-v4" not in page


class TestEpisodeDetail:
    def test_says_what_differs_and_that_nobody_is_told(self, drifted, client, charlie):
        client.force_login(charlie)
        page = client.get(reverse("incidents:episode_detail", args=[drifted.pk])).text
        for words in ("sha256:aa", "sha256:bb", "No ServiceNow is configured", "Incident began"):
            assert words in page
        fragment = client.get(
            reverse("incidents:episode_detail", args=[drifted.pk]), headers={"HX-Request": "true"}
        ).text
        assert "sha256:bb" in fragment and "<html" not in fragment
        rollout = reverse("promotions:rollout_detail", args=[drifted.rollout_id])
        assert f'href="{rollout}">Open the rollout</a>' in joined(page)

    def test_that_is_over_says_nothing_of_what_differs_later(self, drifted, client, charlie):
        actions.close_episode(episode=drifted, words="Right again.", now=NOW)
        later = [{"what": "image", "approved": "vllm:1", "found": "vllm:2"}]
        Rollout.objects.filter(pk=drifted.rollout_id).update(differences=later)
        second = actions.open_episode(
            kind="DRIFT", rollout=drifted.rollout, words="Another image.", now=NOW
        )
        client.force_login(charlie)
        pages = [
            client.get(reverse("incidents:episode_detail", args=[one.pk])).text
            for one in (drifted, second)
        ]
        assert ["vllm:2" in page for page in pages] == [False, True]
        assert "Other weights." in pages[0]

    def test_leads_to_the_incident_in_servicenow_and_says_what_is_not_known_there(
        self, drifted, client, charlie, settings
    ):
        settings.SERVICENOW_URL = "https://acme.service-now.com"
        Episode.objects.filter(pk=drifted.pk).update(
            sys_id="a" * 32, number="INC0010112", state="2", state_words="In Progress",
            message="ServiceNow did not answer in time.", reason="AWAY", read_at=NOW,
        )  # fmt: skip
        client.force_login(charlie)
        page = client.get(reverse("incidents:episode_detail", args=[drifted.pk])).text
        assert f"https://acme.service-now.com/incident.do?sys_id={'a' * 32}" in page
        assert "INC0010112, In Progress" in page
        assert "ServiceNow did not answer in time." in page

    def test_says_that_there_is_no_servicenow_and_not_that_nobody_read_it(
        self, drifted, client, charlie, settings
    ):
        client.force_login(charlie)
        address = reverse("incidents:episode_detail", args=[drifted.pk])
        for url, words in (("", "no ServiceNow is configured"), ("https://x.test", "not read yet")):
            settings.SERVICENOW_URL = url
            page = joined(client.get(address).text)
            assert words in page and "no incident" in page and "never read" not in page

    def test_shows_how_one_ended(self, failed, client, charlie):
        client.force_login(charlie)
        page = client.get(reverse("incidents:episode_detail", args=[failed.pk])).text
        assert "Taken &lt;back&gt;." in page
        assert "<strong>It is over.</strong>No GPU." in joined(page)
        assert "every 10s" not in page


class TestRolloutDetail:
    def test_leads_to_its_own_incidents(self, drifted, failed, client, charlie):
        client.force_login(charlie)
        address = reverse("promotions:rollout_detail", args=[drifted.rollout_id])
        page = client.get(address).text
        assert reverse("incidents:episode_detail", args=[drifted.pk]) in page
        assert reverse("incidents:episode_detail", args=[failed.pk]) not in page


class TestEpisodeLift:
    @pytest.fixture
    def burning(self, registered_model):
        version = make.live(registered_model, 1).model_version
        episode = actions.open_episode(
            kind="BURN", model=registered_model, version=version, words="It burns.", is_page=True,
            now=NOW,
        )  # fmt: skip
        hold_rollouts(
            model=registered_model, cause=episode.correlation_id, words="It burns.",
            actor=actions.WATCHER, now=NOW,
        )  # fmt: skip
        return episode

    def test_lets_rollouts_go_on_with_a_reason(self, burning, client, carol, charlie):
        page, lift = (
            reverse(f"incidents:{name}", args=[burning.pk])
            for name in ("episode_detail", "episode_lift")
        )
        client.force_login(charlie)
        shown = client.get(page).text
        assert "Held" in shown and "Let rollouts go on" not in shown
        assert client.post(lift, {"reason": "Why not."}).status_code == 403
        client.force_login(carol)
        assert client.post(lift, {"reason": ""}).status_code == 422
        assert RolloutHold.objects.open().count() == 1
        assert client.post(lift, {"reason": "The fix is in it."}).status_code == 302
        assert "The fix is in it." in client.get(page).text
        assert not RolloutHold.objects.open().exists()

    def test_is_not_there_where_nothing_was_held(self, failed, client, carol):
        client.force_login(carol)
        lift = reverse("incidents:episode_lift", args=[failed.pk])
        assert client.post(lift, {"reason": "Why not."}).status_code == 404
