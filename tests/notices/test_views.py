"""Pages of notices: the bell, the list, what people choose, and their webhooks."""

import re

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.notices.models import Call, Choice, Kind, Letter, Notice, Webhook
from apps.notices.signing import key_from_settings, secret_of
from tests.factories import NOW, UserFactory
from tests.notices.samples import LATER, person, say, webhook

pytestmark = pytest.mark.django_db
URL = "https://hooks.meridian.test/secret-path"


@pytest.fixture
def alice():
    return person("alice", name="Alice", with_roles=[Role.DEVELOPER])


@pytest.fixture
def bob():
    return person("bob", with_roles=[Role.DEVELOPER])


@pytest.fixture
def as_alice(client, alice):
    client.force_login(alice)
    return client


def text(answer):
    """Return a page's words."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


class TestBell:
    def test_shows_what_is_new_and_counts_all_of_it(self, as_alice, alice, bob):
        for number in range(10):
            say(alice, key=str(number), title=f"Thing {number}", now=NOW)
        say(bob, key="bobs", title="Of Bob")
        Notice.objects.filter(key="9").update(read_at=NOW)
        answer = as_alice.get("/needs/", headers={"HX-Request": "true"})
        page = answer.content.decode()
        assert '<span class="bell-count" aria-hidden="true">9</span>' in page
        assert [f"Thing {number}" in page for number in range(10)] == [False] + 8 * [True] + [False]
        assert "Of Bob" not in page
        assert Notice.objects.get(key="8").get_absolute_url() in page

    def test_costs_two_queries_of_its_own(self, as_alice, alice, django_assert_num_queries):
        from apps.notices.queries import bell_of

        for number in range(12):
            say(alice, key=str(number))
        with django_assert_num_queries(2):
            assert bell_of(alice).count == 12

    def test_is_asked_for_after_the_page(self, as_alice, alice):
        say(alice)
        page = as_alice.get("/account/").content.decode()
        assert 'hx-get="/needs/"' in page
        assert "Review extract-v2" not in page


class TestNoticeOpen:
    def test_leads_to_the_page_and_marks_it_read(self, as_alice, alice, bob):
        say(alice, bob)
        mine, theirs = (Notice.objects.get(user=one) for one in (alice, bob))
        answer = as_alice.get(mine.get_absolute_url())
        assert (answer.status_code, answer["Location"]) == (302, "/promotions/1/")
        assert as_alice.get(theirs.get_absolute_url()).status_code == 404
        read = dict(Notice.objects.values_list("user__username", "read_at"))
        assert read["alice"] is not None
        assert read["bob"] is None

    def test_is_not_there_for_another_account_of_the_person(self, client, alice):
        other = UserFactory(person=alice.person, with_roles=[Role.AUDITOR])
        (notice,) = say(alice)
        client.force_login(other)
        assert client.get(notice.get_absolute_url()).status_code == 404

    def test_is_come_back_to_after_the_sign_in(self, client, alice):
        (notice,) = say(alice)
        answer = client.get(notice.get_absolute_url())
        assert answer["Location"] == f"/oidc/authenticate/?next=%2Fnotices%2F{notice.pk}%2F"


class TestNoticeList:
    def test_says_what_became_of_each_by_email(self, as_alice, alice):
        for key, kind in (("sent", Kind.WAITS), ("failed", Kind.WAITS), ("digest", Kind.GRANT)):
            say(alice, key=key, kind=kind, title=f"The {key} one")
        sent = {"status": "SENT", "sent_at": NOW, "sent_to": "alice@meridian.test"}
        Letter.objects.filter(notices__key="sent").update(**sent)
        Letter.objects.filter(notices__key="failed").update(status="FAILED", message="Refused.")
        page = text(as_alice.get("/notices/"))
        for words in ("Sent", "Not sent", "In the next digest"):
            assert words in page

    def test_is_narrowed_and_costs_the_same_however_many_there_are(
        self, as_alice, alice, django_assert_max_num_queries
    ):
        for number in range(5):
            say(alice, key=str(number), title=f"Thing {number}")
        say(alice, key="grant", kind=Kind.GRANT, title="Access ends")
        page = text(as_alice.get("/notices/", {"kind": "GRANT"}))
        assert "Access ends" in page
        assert "Thing" not in page
        Notice.objects.filter(key="3").update(read_at=NOW)
        for state, shown in (("new", "Thing 4"), ("read", "Thing 3")):
            page = text(as_alice.get("/notices/", {"state": state}))
            assert [f"Thing {n}" in page for n in (3, 4)] == [f"Thing {n}" == shown for n in (3, 4)]
        with django_assert_max_num_queries(8):
            as_alice.get("/notices/")

    def test_marks_all_read_for_the_bell_too(self, as_alice, alice, bob):
        say(alice, bob)
        answer = as_alice.post("/notices/read/", headers={"HX-Request": "true"})
        assert (answer.status_code, answer["HX-Trigger"]) == (204, "notices-read")
        assert Notice.objects.unread().get().user == bob


class TestChoiceList:
    def test_keeps_what_was_chosen(self, as_alice, alice):
        chosen = {kind: "DIGEST" for kind in Kind.values} | {"WAITS": "NEVER"}
        answer = as_alice.post("/notices/choices/", chosen)
        assert answer.status_code == 302
        assert Choice.objects.get(user=alice, kind="WAITS").by_email == "NEVER"
        assert not Choice.objects.filter(kind="GRANT").exists(), "it was so before"
        page = as_alice.get("/notices/choices/").content.decode()
        checked = [tag for tag in re.findall(r"<input[^>]*>", page) if "checked" in tag]
        assert len(checked) == len(Kind)
        assert any('name="WAITS"' in tag and 'value="NEVER"' in tag for tag in checked)

    def test_says_that_nothing_comes_by_email(self, as_alice, alice, settings):
        settings.EMAIL_HOST = ""
        assert "E-mail is not configured here." in text(as_alice.get("/notices/choices/"))
        settings.EMAIL_HOST = "mail.meridian.test"
        assert "not configured" not in text(as_alice.get("/notices/choices/"))
        type(alice).objects.filter(pk=alice.pk).update(email="")
        assert "tells no e-mail address" in text(as_alice.get("/notices/choices/"))


class TestWebhooks:
    @pytest.fixture(autouse=True)
    def allowed(self, settings):
        settings.WEBHOOK_HOSTS = frozenset({"hooks.meridian.test"})

    def test_are_added_and_their_secret_is_shown_once(self, as_alice, alice):
        answer = as_alice.post("/notices/webhooks/", {"url": URL, "kinds": ["WAITS", "GRANT"]})
        added = Webhook.objects.get()
        secret = secret_of(added, 1, key_from_settings())
        assert secret in answer.content.decode()
        assert answer["Cache-Control"] == "private, no-store"
        for address in ("/notices/webhooks/", added.get_absolute_url()):
            assert secret not in as_alice.get(address).content.decode()
        answer = as_alice.post(reverse("notices:webhook_renew", args=[added.pk]))
        assert secret_of(added, 2, key_from_settings()) in answer.content.decode()

    def test_are_refused_with_the_form_as_it_was(self, as_alice):
        asked = {"url": "https://elsewhere.test/x", "kinds": ["GRANT"]}
        answer = as_alice.post("/notices/webhooks/", asked)
        assert answer.status_code == 422
        page = answer.content.decode()
        assert "may not be at elsewhere.test" in page
        assert 'value="https://elsewhere.test/x"' in page

    def test_cannot_be_added_where_no_host_is_named(self, as_alice, settings):
        settings.WEBHOOK_HOSTS = frozenset()
        assert "No webhook can be added here." in text(as_alice.get("/notices/webhooks/"))

    def test_show_what_failed_and_send_it_again(self, as_alice, alice):
        hook = webhook(alice)
        say(alice)
        said = "The receiver did not answer in time. It was tried 7 times."
        Call.objects.update(status="FAILED", next_check_at=None, message=said, attempts=7)
        page = text(as_alice.get(hook.get_absolute_url()))
        assert said in page
        assert "Send again" in page
        as_alice.post(reverse("notices:call_again", args=[Call.objects.get().pk]))
        assert Call.objects.get().status == "WAITING"

    def test_say_that_one_was_stopped_and_start_it_again(self, as_alice, alice):
        hook = webhook(alice, stopped_at=LATER, failures=5)
        assert "Nothing is posted to it." in text(as_alice.get(hook.get_absolute_url()))
        as_alice.post(reverse("notices:webhook_start", args=[hook.pk]))
        assert Webhook.objects.get().stopped_at is None

    def test_show_their_hosts_to_whoever_oversees_the_record(self, client, as_alice, alice):
        webhook(alice)
        assert "Everybody's" not in as_alice.get("/notices/webhooks/").content.decode()
        client.force_login(UserFactory(with_roles=[Role.AUDITOR]))
        page = client.get("/notices/webhooks/").content.decode()
        assert "Alice at hooks.meridian.test" in page
        assert "secret-path" not in page
