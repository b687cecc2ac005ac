"""The shell: home, search, what needs a person, errors, health."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_htmx.middleware import HtmxDetails

from apps.access.models import AccessRequest
from apps.accounts.models import Role
from apps.common.errors import DomainError, NotPermitted
from apps.fleet.models import Node, NodeClaim, Replica
from apps.incidents.actions import open_episode
from apps.incidents.models import Episode
from apps.promotions.models import Rollout, RolloutCommit
from apps.prompts.holds.models import LegalHold
from portal import errors
from portal.context import SECTIONS
from portal.needs.queries import needs_of, waits_of
from tests.database import unguarded
from tests.factories import (
    NOW,
    ModelVersionFactory,
    RegisteredModelFactory,
    TeamFactory,
    UserFactory,
    create_event,
)
from tests.gateway.guard.guardrails import propose
from tests.pages import joined
from tests.promotions import factories
from tests.promotions.changes.records import ready
from tests.promotions.factories import live

pytestmark = pytest.mark.django_db
SHELL_QUERIES = 3  # session, person, roles
HOME_QUERIES = {"lead": 19, "owner": 32}  # however many models, versions and requests there are


@pytest.fixture
def access_request(registered_model, charlie):
    now = timezone.now()
    return AccessRequest.objects.create(
        registered_model=registered_model, team=charlie.team, requested_by=charlie,
        requested_at=now, purpose="Packets",
        data_class="PHI", tokens_per_minute=1000, monthly_budget_usd=100,
        expires_date=now.date() + timedelta(days=30),
    )  # fmt: skip


class TestShell:
    def test_every_section_leads_somewhere(self):
        assert [section.label for section in SECTIONS if not section.url] == []

    def test_shows_only_the_sections_a_person_may_use(self, client, charlie):
        client.force_login(charlie)
        page = client.get("/").content.decode()
        assert 'href="/catalog/"' in page
        assert 'href="/audit/"' not in page

    def test_loads_nothing_from_outside_and_has_no_inline_script_or_style(self, client, charlie):
        client.force_login(charlie)
        answer = client.get("/")
        page = answer.content.decode()
        assert "http://" not in page.replace("http://testserver", "")
        assert "https://" not in page
        assert "<style" not in page
        assert " style=" not in page
        assert page.count("<script") == page.count("<script src=")
        policy = answer["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy

    def test_everybody_has_a_home(self, client):
        for role in Role.values:
            client.force_login(UserFactory(with_roles=[role]))
            assert client.get("/").status_code == 200

    def test_home_asks_a_fixed_number_of_queries(
        self, client, charlie, alice, registered_model, access_request, django_assert_num_queries
    ):
        client.force_login(charlie)
        with django_assert_num_queries(HOME_QUERIES["lead"]):
            client.get("/")
        client.force_login(alice)
        with django_assert_num_queries(HOME_QUERIES["owner"]):
            client.get("/")
        for _ in range(3):
            ModelVersionFactory(registered_model=RegisteredModelFactory(owner_team=alice.team))
        with django_assert_num_queries(HOME_QUERIES["owner"]):
            client.get("/")

    @pytest.mark.parametrize(
        ("facts", "words"),
        [
            ({}, "Live v7"),
            ({"reason": "DRIFT"}, "v7 drifted"),
            ({"unready_since": NOW}, "v7 not ready"),
            ({"reason": "AWAY"}, "v7, not seen since"),
        ],
    )
    def test_home_the_catalog_and_a_models_page_say_the_same_of_what_serves(
        self, client, alice, registered_model, facts, words
    ):
        live = factories.live(registered_model, 7)
        seen = {"observed_at": timezone.now()} | facts
        Rollout.objects.filter(pk=live.pk).update(**seen)
        factories.live(RegisteredModelFactory(owner_team=alice.team), 7)
        client.force_login(alice)
        tabs = ("catalog:model_detail", "gateway:playground", "metering:model_usage")
        pages = [reverse(tab, args=[registered_model.name]) for tab in tabs]
        for page in ("/", reverse("catalog:model_list"), *pages):
            assert words in client.get(page).content.decode(), page

    def test_anonymous_people_are_sent_to_sign_in(self, client):
        assert (
            client.get("/catalog/?q=a")["Location"]
            == "/oidc/authenticate/?next=%2Fcatalog%2F%3Fq%3Da"
        )


class TestNeeds:
    def test_an_owner_is_asked_for_a_decision_and_its_requester_is_not(
        self, alice, charlie, access_request
    ):
        assert [need.title for need in needs_of(alice, timezone.now())] == [
            "Claims Review asks for prior-auth-extract"
        ]
        assert needs_of(charlie, timezone.now()) == []

    def test_a_rollout_that_holds_asks_those_who_may_let_it_go_on(
        self, registered_model, alice, bob, carol, charlie
    ):
        held, other = (
            Rollout.objects.get(pk=live(model, number).pk)
            for model, number in ((registered_model, 1), (RegisteredModelFactory(), 1))
        )
        for rollout, reason in ((held, "NO_TRAFFIC"), (other, "HOLDING")):
            with unguarded():
                Rollout.objects.filter(pk=rollout.pk).update(
                    status="PROGRESSING", reason=reason, weight=10
                )
        for person in (bob, carol):
            assert [need.title for need in needs_of(person, timezone.now())] == [
                "Let prior-auth-extract-v1 continue, or take it back"
            ]
        assert needs_of(charlie, timezone.now()) == []
        assert needs_of(held.promotion.requested_by, timezone.now()) == []

    def test_the_bell_counts(self, client, alice, access_request):
        client.force_login(alice)
        page = client.get("/needs/", headers={"HX-Request": "true"}).content.decode()
        assert 'hx-swap-oob="true"' in page
        assert "1 waiting" in page

    def test_what_one_asked_for_is_waited_for_and_not_counted(
        self, client, alice, charlie, access_request, registered_model
    ):
        other = UserFactory(team=TeamFactory(), with_roles=[Role.TEAM_LEAD])
        AccessRequest.objects.create(
            registered_model=registered_model, team=other.team, requested_by=other,
            requested_at=timezone.now(), purpose="Packets", data_class="PHI",
            tokens_per_minute=1, monthly_budget_usd=1, expires_date=timezone.now().date(),
        )  # fmt: skip
        assert [(need.title, need.why) for need in waits_of(charlie)] == [
            ("Your request for prior-auth-extract", f"A model owner of {alice.team} decides")
        ]
        assert waits_of(alice) == []
        client.force_login(charlie)
        for address in ("/", "/needs/"):
            page = joined(client.get(address).content)
            assert "What you are waiting for" in page
            assert reverse("access:request_detail", args=[access_request.pk]) in page
        assert "bell-count" not in page and "Nothing needs you now." in page
        AccessRequest.objects.filter(pk=access_request.pk).update(
            status="WITHDRAWN", decided_by=charlie, decided_at=timezone.now()
        )
        assert waits_of(charlie) == []

    def test_nothing_is_said_in_words(self, client, charlie):
        client.force_login(charlie)
        assert "Nothing needs you now." in client.get("/needs/").content.decode()


def call(team):
    return create_event(
        event_id=uuid4(), occurred_at=timezone.now(), received_at=timezone.now(),
        received_via="OTLP", outcome="REFUSED", response_code=403, model="prior-auth-extract",
        team=team,
    )  # fmt: skip


class TestSearch:
    def titles(self, client, text):
        groups = client.get("/search/", {"q": text}).context["groups"]
        return {name: [hit.title for hit in hits] for name, hits in groups}

    def test_finds_by_name_number_and_digest(self, client, charlie, registered_model):
        client.force_login(charlie)
        digest = f"sha256:{'ab' * 32}"
        version = ModelVersionFactory(
            registered_model=registered_model, number=3, manifest_digest=digest
        )
        assert self.titles(client, "prior")["Models"] == ["prior-auth-extract"]
        assert self.titles(client, "prior-auth-extract v3")["Versions"] == [version.name]
        assert self.titles(client, "abab")["Versions"] == [version.name]
        assert self.titles(client, "audit").get("Go to") is None
        assert self.titles(client, "nothing at all") == {}

    def test_shows_other_teams_only_to_those_who_oversee(self, client, charlie):
        TeamFactory(slug="finance-team")
        client.force_login(charlie)
        assert self.titles(client, "finance") == {}
        client.force_login(UserFactory(with_roles=[Role.AUDITOR]))
        assert self.titles(client, "finance") == {"Teams": ["Finance Team"]}

    def test_a_team_leads_to_what_it_asked_for(self, client, access_request):
        client.force_login(UserFactory(with_roles=[Role.AUDITOR]))
        (hit,) = dict(client.get("/search/", {"q": access_request.team.slug}).context["groups"])[
            "Teams"
        ]
        assert access_request.team.slug in client.get(hit.url).content.decode()
        lines = client.get(hit.url).context["table"].lines
        assert [line.row for line in lines] == [access_request]

    def test_finds_what_pages_print_the_first_eight_characters_of(
        self, client, carol, registered_model, access_request
    ):
        rollout = live(registered_model, 4)
        live(RegisteredModelFactory(name="summary"), 1)
        RolloutCommit.objects.create(
            rollout=rollout, step="SERVE", sha="c0ffee12" * 5, committed_at=timezone.now()
        )
        client.force_login(carol)
        for text in (str(rollout.pk)[:8], str(rollout.pk), "c0ffee12"):
            assert self.titles(client, text) == {"Rollouts": ["Rollout of prior-auth-extract-v4"]}
        promotion = self.titles(client, str(rollout.promotion_id)[:8])
        assert promotion == {"Promotions": ["prior-auth-extract-v4 → production"]}
        run = str(rollout.promotion.eval_run_id)[:8]
        assert self.titles(client, run) == {
            "Evaluations": [f"Evaluation {run} of prior-auth-extract-v4"]
        }
        mine = str(access_request.pk)[:8]
        assert self.titles(client, mine) == {}
        client.force_login(access_request.requested_by)
        found = self.titles(client, mine)
        assert found == {"Access": ["Claims Review asks for prior-auth-extract"]}
        assert self.titles(client, mine[:7]) == {}

    def test_finds_the_numbers_of_servicenow(self, client, carol, registered_model):
        rollout = live(registered_model, 4)
        other = live(RegisteredModelFactory(name="summary"), 1)
        ready(promotion=rollout.promotion, number="CHG0031177").save()
        for wrong, number in ((rollout, "INC0010112"), (other, "INC0010113")):
            episode = open_episode(kind="DRIFT", rollout=wrong, words="x", now=timezone.now())
            Episode.objects.filter(pk=episode.pk).update(number=number)
        client.force_login(carol)
        assert self.titles(client, "chg0031177") == {
            "Promotions": ["prior-auth-extract-v4 → production"]
        }
        assert self.titles(client, "INC0010112") == {
            "Incidents": ["Not what was approved: prior-auth-extract-v4"]
        }

    def test_finds_a_call_by_its_id_for_those_who_may_see_it(self, client, charlie):
        mine, other = call("claims-review"), call("prior-auth")
        client.force_login(charlie)
        ((group, (hit,)),) = client.get("/search/", {"q": str(mine.event_id)}).context["groups"]
        assert (group, hit.title) == ("Calls", "Call of claims-review to prior-auth-extract")
        assert client.get(hit.url).context["asked"].call.kept == mine
        assert self.titles(client, str(other.event_id)) == {}

    def test_finds_what_is_asked_about_guard_rules_and_prompts(self, client, carol, charlie):
        change = propose()
        holds = [
            LegalHold.objects.create(
                scope="MEMBER", value=letter * 64, matter=matter, placed_by=charlie,
                placed_at=timezone.now(),
            )
            for letter, matter in (("a", "2026-17"), ("b", "2026-18"))
        ]  # fmt: skip
        found = f"Legal hold {str(holds[0].pk)[:8]} on member aaaaaaaa"
        client.force_login(carol)
        name = f"Change of the guard rules of {change.environment}"
        assert self.titles(client, str(change.pk)[:8]) == {"Guard rules": [name]}
        for text in ("2026-17", "aaaaaaaa", str(holds[0].pk)[:8]):
            assert self.titles(client, text) == {"Prompt record": [found]}
        client.force_login(charlie)
        for text in ("2026-17", "aaaaaaaa", str(change.pk)[:8]):
            assert self.titles(client, text) == {}

    def test_finds_machines_for_those_who_see_the_fleet(self, client, charlie):
        at = timezone.now()
        for name in ("ip-10-0-1-7", "ip-10-0-2-8"):
            common = {"created_at": at, "learned_at": at}
            Node.objects.create(uid=name, name=name, gpu_count=1, **common)
            NodeClaim.objects.create(uid=f"c-{name}", name=f"gpu-{name}", **common)
            Replica.objects.create(uid=f"r-{name}", name=f"pod-{name}", namespace="m", **common)
        client.force_login(charlie)
        assert self.titles(client, "ip-10-0-1-7") == {}
        client.force_login(UserFactory(with_roles=[Role.PLATFORM_ENGINEER]))
        assert self.titles(client, "ip-10-0-1-7") == {
            "Nodes": ["ip-10-0-1-7"],
            "Node claims": ["gpu-ip-10-0-1-7"],
            "Replicas": ["pod-ip-10-0-1-7"],
        }

    def test_asks_at_most_fourteen_queries(
        self, client, registered_model, django_assert_max_num_queries
    ):
        for number in range(1, 4):
            live(RegisteredModelFactory(), number)
        client.force_login(UserFactory(with_roles=[Role.PLATFORM_ENGINEER]))
        with django_assert_max_num_queries(14 + SHELL_QUERIES):
            client.get("/search/", {"q": "abcdef12"}, headers={"HX-Request": "true"})

    def test_answers_the_top_bar_with_options(self, client, charlie, registered_model):
        client.force_login(charlie)
        panel = client.get(
            "/search/", {"q": "prior"}, headers={"HX-Request": "true"}
        ).content.decode()
        assert "<html" not in panel
        assert 'role="option" id="hit-1-1" href="/catalog/prior-auth-extract/"' in joined(panel)

    def test_has_a_page_of_its_own(self, client, charlie, registered_model):
        client.force_login(charlie)
        page = client.get("/search/", {"q": "prior"}).content.decode()
        assert "<html" in page
        assert 'href="/catalog/prior-auth-extract/"' in page


class TestErrors:
    def test_an_unknown_address_says_what_to_do_and_the_id(self, client, charlie):
        client.force_login(charlie)
        answer = client.get("/nowhere/")
        assert answer.status_code == 404
        assert answer["X-Request-Id"] in answer.content.decode()

    @pytest.mark.parametrize(
        ("error", "status"),
        [(NotPermitted("Only owners may."), 403), (DomainError("Decided."), 409)],
    )
    def test_what_an_action_refuses_becomes_a_page_or_a_toast(self, rf, charlie, error, status):
        request = rf.get("/")
        request.user, request.htmx = charlie, HtmxDetails(request)
        page = errors.refused(request, error)
        assert page.status_code == status
        assert str(error) in page.content.decode()
        request = rf.get("/", headers={"HX-Request": "true"})
        request.htmx = HtmxDetails(request)
        toast = errors.refused(request, error)
        assert (toast.status_code, toast["HX-Reswap"]) == (status, "none")
        assert str(error) in toast["HX-Trigger"]

    @pytest.mark.parametrize("path", ["/", "/search/?q=x", "/nowhere/", "/catalog/?q=%00"])
    def test_says_that_htmx_gets_another_answer(self, client, charlie, path):
        client.force_login(charlie)
        for headers in ({}, {"HX-Request": "true"}):
            varies = client.get(path, headers=headers)["Vary"].split(", ")
            assert {"HX-Request", "HX-Target"} <= set(varies)

    def test_says_it_of_the_way_to_the_sign_in_too_and_of_nothing_that_is_no_page(self, client):
        assert "HX-Request" in client.get("/")["Vary"]
        for path in ("/healthz", "/api/v1/me"):
            assert "HX-Request" not in client.get(path).get("Vary", "")

    def test_a_refusal_before_the_doors_is_a_toast_for_htmx(self, client, charlie):
        client.force_login(charlie)
        toast = client.get("/catalog/?q=%00", headers={"HX-Request": "true"})
        assert (toast.status_code, toast["HX-Reswap"]) == (400, "none")

    def test_a_form_without_its_token_is_explained(self, charlie):
        client = Client(enforce_csrf_checks=True)
        client.force_login(charlie)
        answer = client.post("/sign-out/")
        assert answer.status_code == 403
        assert "This form can no longer be sent" in answer.content.decode()

    def test_an_error_of_ours_needs_no_database(self, rf, django_assert_num_queries):
        with django_assert_num_queries(0):
            answer = errors.server_error(rf.get("/"))
            assert answer.status_code == 500
            try:
                raise OperationalError
            except OperationalError:
                assert errors.server_error(rf.get("/")).status_code == 503


class TestHealthz:
    def test_needs_no_sign_in(self, client):
        assert client.get("/healthz").json() == {"status": "ok"}

    def test_says_that_it_is_alive_without_the_database(self, client, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert client.get("/healthz/alive").json() == {"status": "alive"}


class TestFreshness:
    def test_says_what_there_is_to_say_to_everybody_while_it_is_said(
        self, client, charlie, settings, tmp_path
    ):
        client.force_login(charlie)
        file = tmp_path / "notice.txt"
        settings.NOTICE_FILE = str(file)
        assert "footer-notice" not in client.get("/freshness/").content.decode()
        file.write_text("<b>Building</b>: 3 of 9 programs\nnot shown\n")
        page = client.get("/freshness/").content.decode()
        assert "&lt;b&gt;Building&lt;/b&gt;: 3 of 9 programs" in page
        assert "not shown" not in page
