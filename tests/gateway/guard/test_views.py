"""Pages of the guard: what each person sees, and what the forms take and refuse."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Role
from apps.gateway.guard.models import GuardHit, GuardrailChange
from apps.gateway.guard.queries import in_force
from apps.gateway.guard.words import text_of
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory
from tests.gateway.guard.guardrails import a_hit, propose, put_in_force, with_rule
from tests.pages import joined

pytestmark = pytest.mark.django_db
PAGE, CHANGE, HITS = (f"/gateway/guardrails/{part}" for part in ("", "change/", "hits/"))
WHY = "As the board for model risk decided."


@pytest.fixture
def engineer(db):
    return UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])


def page(client, person, path=PAGE, **query):
    client.force_login(person)
    return client.get(path, query)


class TestGuardrails:
    def test_shows_each_rule_with_what_it_found_and_how_it_was_judged(self, client, engineer):
        now = timezone.now()
        for mark in ("TRUE", "TRUE", "FALSE", ""):
            who = {"marked_by": engineer, "marked_at": now} if mark else {}
            a_hit(at=now, mark=mark, **who)
        a_hit(at=now - timedelta(days=31))
        text = joined(page(client, engineer).content)
        assert '?rule=injected-instructions">4</a>' in text
        assert "67 % of 3 judged" in text
        assert "{{" not in text

    def test_counts_only_what_the_person_may_see(self, client):
        now, team = timezone.now(), TeamFactory(slug="appeals")
        developer = UserFactory(team=team, with_roles=[Role.DEVELOPER])
        a_hit(at=now)
        a_hit(at=now, team="appeals")
        text = joined(page(client, developer).content)
        assert '?rule=injected-instructions">1</a>' in text
        assert "those in your own team" in text
        assert "Propose a change" not in text

    def test_says_what_is_looked_at_and_what_is_not(self, client, engineer):
        RegisteredModelFactory(name="open", data_class="PUBLIC")
        RegisteredModelFactory(name="closed", data_class="PHI")
        context = page(client, engineer).context
        models = {row.model: row for row in context["models"]}
        names = {model: [rule.name for rule in row.every] for model, row in models.items()}
        assert "member-data-without-approval" in names["open"]
        assert "member-data-without-approval" not in names["closed"]
        some = [rule.name for rule in models["closed"].some]
        assert some == ["member-data-without-approval"]
        ways = {(row.path, row.way): row for row in context["endpoints"]}
        streamed = ways["/v1/chat/completions", "streamed"]
        assert [rule.name for rule in streamed.answer][:2] == [
            "secrets-in-answers", "member-data-leak",
        ]  # fmt: skip
        assert ways["/v1/embeddings", "whole answer"].no_answer
        assert ways["/cohere/v2/rerank", "whole answer"].answer == streamed.answer
        assert any("Names" in line for line in context["not_looked_at"])

    def test_says_whether_the_set_in_force_was_measured(self, client, engineer):
        assert page(client, engineer).context["is_measured_set"]
        put_in_force(now=timezone.now())
        assert "Not measured as it is." in page(client, engineer).content.decode()

    def test_stands_among_the_gateways_pages_with_those_that_the_person_may_see(
        self, client, engineer, carol
    ):
        for path in (PAGE, HITS):
            for who, sees_drift in ((engineer, True), (carol, False)):
                text = joined(page(client, who, path).content)
                assert text.count('aria-current="page"> Guard') == 1
                assert ('href="/gateway/drift/"' in text) is sees_drift

    def test_asks_as_often_however_many_hits_there_are(self, client, engineer):
        page(client, engineer)
        asked = []
        for count in (1, 20):
            for _ in range(count):
                a_hit(at=timezone.now())
            with CaptureQueriesContext(connection) as queries:
                page(client, engineer)
            asked.append(len(queries))
        assert asked[0] == asked[1]


class TestChange:
    def test_is_proposed_decided_and_in_force(self, client, engineer, carol):
        client.force_login(engineer)
        sent = {"rules": text_of(with_rule()), "justification": WHY}
        made = client.post(CHANGE, sent)
        change = GuardrailChange.objects.get()
        assert (made.status_code, made.url) == (302, change.get_absolute_url())
        text = joined(page(client, carol, change.get_absolute_url()).content)
        assert "orchid" in text
        assert "Put these rules in force" in text
        client.post(f"{change.get_absolute_url()}approve/", {"reason": "Agreed."})
        assert in_force(timezone.now()).number == 2
        history = joined(page(client, carol, "/gateway/guardrails/history/").content)
        assert "Revision 2" in history
        assert "The set that ships" in history

    def test_has_no_history_before_the_first_one(self, client, engineer):
        answer = page(client, engineer, "/gateway/guardrails/history/")
        assert answer.status_code == 200
        assert "Nobody has changed the rules yet" in joined(answer.content)

    @pytest.mark.parametrize(
        ("rules", "why"),
        [
            ("{", "This is not JSON"),
            ("[" * 5000, "This is"),
            ("[]", "the set is an object"),
            (json.dumps({"rules": []}), "1 to 50 rules"),
            (None, "the rules say this already"),
        ],
    )
    def test_says_what_is_wrong_and_keeps_what_was_typed(self, client, engineer, rules, why):
        client.force_login(engineer)
        typed = rules or text_of(in_force(NOW).rules)
        answer = client.post(CHANGE, {"rules": typed, "justification": WHY})
        assert answer.status_code == 422
        assert why in answer.content.decode()
        assert answer.context["form"]["rules"].value() == typed
        assert not GuardrailChange.objects.exists()

    def test_is_withdrawn_by_who_proposed_it(self, client, engineer):
        change = propose(requester=engineer)
        client.force_login(engineer)
        client.post(f"{change.get_absolute_url()}withdraw/")
        change.refresh_from_db()
        assert change.status == "WITHDRAWN"


class TestHits:
    def test_are_listed_and_narrowed(self, client, engineer):
        a_hit(rule="one", mark="")
        a_hit(rule="two", does="monitor", phase="answer")
        a_hit(rule="three", detector="NOT_INSPECTED")
        answer = page(client, engineer, HITS)
        assert {line.row.rule for line in answer.context["table"].lines} == {"one", "two", "three"}
        assert "Refused unseen" in answer.content.decode()
        for query, found in (({"rule": "one"}, {"one"}), ({"phase": "answer"}, {"two"}),
                             ({"mark": "none"}, {"one", "two", "three"}),
                             ({"mark": "TRUE"}, set()), ({"q": "two"}, {"two"})):  # fmt: skip
            lines = page(client, engineer, HITS, **query).context["table"].lines
            assert {line.row.rule for line in lines} == found

    def test_are_judged_on_their_page(self, client, engineer):
        hit, other = a_hit(), a_hit()
        text = joined(page(client, engineer, f"{HITS}{hit.pk}/").content)
        assert "tells the model to drop the instructions it has" in text
        client.post(f"{HITS}{hit.pk}/mark/", {"mark": "FALSE"})
        hit.refresh_from_db()
        other.refresh_from_db()
        assert (hit.mark, hit.marked_by, other.mark) == ("FALSE", engineer, "")
        assert client.post(f"{HITS}{hit.pk}/mark/", {"mark": "MAYBE"}).status_code == 404

    def test_lead_to_their_call_for_those_who_may_see_it(self, client, engineer, carol):
        hit = a_hit()
        links = {}
        for who in (engineer, UserFactory(username="ada", with_roles=[Role.AUDITOR]), carol):
            text = page(client, who, f"{HITS}{hit.pk}/").content.decode()
            why, kept = (f"{where}={hit.call}" for where in ("?request_id", "/prompts/calls/?q"))
            links[who.username] = (why in text, kept in text)
        assert links == {"pete": (True, False), "ada": (True, True), "carol": (False, False)}

    def test_of_another_team_are_not_there(self, client):
        team = TeamFactory(slug="appeals")
        developer = UserFactory(team=team, with_roles=[Role.DEVELOPER])
        own, other = a_hit(team="appeals"), a_hit()
        assert page(client, developer, f"{HITS}{own.pk}/").status_code == 200
        assert page(client, developer, f"{HITS}{other.pk}/").status_code == 404
        assert (
            "It was a true hit" not in page(client, developer, f"{HITS}{own.pk}/").content.decode()
        )
        assert GuardHit.objects.count() == 2
