"""Pages of pipelines: what they show, and what their forms do."""

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.accounts.pipelines.models import PipelineChange, PipelineRule
from apps.accounts.pipelines.rules import subjects_of
from tests.accounts.pipelines import samples
from tests.accounts.pipelines.test_exchange import sign_in
from tests.factories import UserFactory
from tests.pages import joined

pytestmark = pytest.mark.django_db
WHY = {"reason": "Compared with GitHub."}


@pytest.fixture
def as_(client):
    def somebody(person):
        client.force_login(person)
        return client

    return somebody


@pytest.fixture
def typed(alice, pushes):
    """What alice types into the form of a new pipeline."""
    return {
        "name": "extract-release", "team": alice.team.pk, "repository": "meridian/extract-models",
        "repository_id": "456", "owner_id": "123", "ref": "refs/heads/main",
        "environment": "release", "workflow": ".github/workflows/publish-model.yml",
        "subjects": "", "events": ["push"], "may": ["publish", "propose"],
        "models": "extract\nsummary", "pushers": f"octo-bob {pushes.github_id} bob",
        "justification": "As the platform board decided.",
    }  # fmt: skip


def url(name, *args):
    return reverse(f"accounts:{name}", args=args)


class TestList:
    def test_says_that_there_is_none(self, as_, alice):
        page = joined(as_(alice).get(url("pipeline_list")).content)
        assert "No pipeline is registered" in page
        assert "Propose a pipeline" in page

    def test_shows_what_is_let_in_and_what_waits(self, as_, alice, engineer, pipeline, pushes):
        samples.propose("nightly", requester=alice, team=alice.team, pushers=[pushes])
        sign_in()
        page = joined(as_(engineer).get(url("pipeline_list")).content)
        assert "Rule of nightly" in page
        assert "Let in" in page
        assert "meridian/extract-models" in page
        assert "environment release" in page
        assert "never" not in page

    def test_is_hidden_from_those_it_does_not_concern(self, as_, bob):
        bob.role_bindings.all().delete()
        bob.role_bindings.create(role=Role.DEVELOPER)
        assert as_(bob).get(url("pipeline_list")).status_code == 404


class TestDetail:
    def test_shows_rule_runs_and_history(self, as_, alice, pipeline):
        run = sign_in().run
        page = joined(as_(alice).get(url("pipeline_detail", pipeline.name)).content)
        assert f"octo-bob (number {102}) is bob here" in page
        assert run.address in page
        assert "Compared with GitHub." in page
        assert "Shut out extract-release" in page

    def test_shuts_it_out_with_a_reason(self, as_, alice, pipeline):
        browser = as_(alice)
        refused = browser.post(url("pipeline_end", pipeline.name), {"reason": ""})
        assert (refused.status_code, PipelineRule.objects.get().ended_at) == (422, None)
        answer = browser.post(url("pipeline_end", pipeline.name), {"reason": "It leaked."})
        assert answer.status_code == 302
        assert PipelineRule.objects.get().end_reason == "It leaked."
        page = joined(browser.get(url("pipeline_detail", pipeline.name)).content)
        assert "“It leaked.”" in page
        assert "Shut out extract-release" not in page


class TestForm:
    def test_proposes_both_subjects_where_none_is_typed(self, as_, alice, typed):
        answer = as_(alice).post(url("pipeline_create"), typed)
        change = PipelineChange.objects.get()
        assert answer["Location"] == change.get_absolute_url()
        assert change.rule.subjects == subjects_of(change.rule)
        assert change.rule.models == ("extract", "summary")
        assert change.rule.pushers[0].username == "bob"

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"subjects": "repo:meridian/*"}, "has a wildcard"),
            ({"ref": "refs/heads/*"}, "has a wildcard"),
            ({"repository": "meridian"}, "owner/name"),
            ({"pushers": "octo-bob"}, "login, number and user name"),
            ({"pushers": "octo 9 nobody"}, "Nobody called nobody has signed in here"),
            ({"may": []}, "This field is required"),
        ],
    )
    def test_says_what_is_wrong_and_keeps_what_was_typed(self, as_, alice, typed, changes, words):
        answer = as_(alice).post(url("pipeline_create"), typed | changes)
        page = joined(answer.content)
        assert answer.status_code == 422
        assert words in page
        assert "As the platform board decided." in page
        assert not PipelineChange.objects.exists()

    def test_shows_the_rule_that_there_is(self, as_, alice, pipeline):
        page = as_(alice).get(url("pipeline_change", pipeline.name))
        assert b"octo-bob 102 bob" in page.content
        typed = page.context["form"].initial | {
            "may": ["publish"], "justification": "It proposes no more.", "team": alice.team.pk,
        }  # fmt: skip
        answer = as_(alice).post(url("pipeline_change", pipeline.name), typed)
        assert answer.status_code == 302
        assert PipelineChange.objects.pending().get().before == pipeline


class TestChange:
    @pytest.fixture
    def change(self, alice, pushes):
        return samples.propose(
            "extract-release", requester=alice, team=alice.team, pushers=[pushes]
        )

    def test_lets_somebody_else_decide(self, as_, alice, engineer, change):
        own = joined(as_(alice).get(change.get_absolute_url()).content)
        assert "You proposed this, so a reviewer or platform engineer decides." in own
        page = joined(as_(engineer).get(change.get_absolute_url()).content)
        assert "Let it in by this rule" in page
        assert "Compare the numbers with GitHub" in page
        answer = as_(engineer).post(url("pipeline_change_approve", change.pk), WHY)
        assert answer.status_code == 302
        assert PipelineRule.objects.get().name == "extract-release"

    def test_shows_those_who_push_why_they_do_not_decide(self, as_, bob, change):
        second = UserFactory(person=bob.person, with_roles=[Role.REVIEWER])
        page = joined(as_(second).get(change.get_absolute_url()).content)
        assert "names you as one who pushes" in page
        assert as_(second).post(url("pipeline_change_approve", change.pk), WHY).status_code == 403

    def test_waits_on_the_home_page_of_who_decides(self, as_, engineer, alice, bob, change):
        second = UserFactory(person=bob.person, with_roles=[Role.REVIEWER])
        seen = {
            person.username: "Rule of the pipeline extract-release" in joined(
                as_(person).get(reverse("needs")).content
            )
            for person in (engineer, second)
        }  # fmt: skip
        assert seen == {"erin": True, second.username: False}
        assert "Your rule of the pipeline" in joined(as_(alice).get(reverse("needs")).content)


def test_says_of_itself_what_programs_ask(client, settings):
    found = client.get("/.well-known/oauth-protected-resource/api/v1").json()
    assert found["authorization_servers"] == [settings.OIDC_ISSUER]
    assert found["resource"] == "http://testserver/api/v1"
    assert found["client_id"] == "quartermaster-cli"
    assert found["pipeline_audience"] == "http://testserver"
