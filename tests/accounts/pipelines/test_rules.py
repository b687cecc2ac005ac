"""What a rule may say, and which tokens fit it."""

from dataclasses import replace

import pytest

from apps.accounts.pipelines.rules import (
    Pusher,
    TrustRule,
    problems,
    refusal,
    server_of,
    subjects_of,
)
from tests.accounts.pipelines.samples import RULE, claims, rule


class TestSubjectsOf:
    def test_gives_both_forms(self):
        assert subjects_of(RULE) == (
            "repo:meridian/extract-models:environment:release",
            "repo:meridian@123/extract-models@456:environment:release",
        )

    def test_names_the_ref_where_there_is_no_environment(self):
        assert subjects_of(rule(environment=""))[1] == (
            "repo:meridian@123/extract-models@456:ref:refs/heads/main"
        )

    def test_escapes_colons_as_github_does(self):
        assert subjects_of(rule(environment="prod:eu"))[0].endswith(":environment:prod%3Aeu")


class TestServerOf:
    @pytest.mark.parametrize(
        ("issuer", "server"),
        [
            ("https://token.actions.githubusercontent.com", "https://github.com"),
            ("https://token.actions.githubusercontent.com/meridian", "https://github.com"),
            ("https://token.actions.meridian.ghe.com", "https://meridian.ghe.com"),
            ("https://git.meridian.example/_services/token", "https://git.meridian.example"),
        ],
    )
    def test_is_the_one_whose_actions_sign(self, issuer, server):
        assert server_of(issuer) == server


class TestTrustRule:
    def test_comes_back_from_json_as_it_was(self):
        assert TrustRule.of(RULE.as_json()) == RULE


class TestProblems:
    def test_finds_none_in_a_good_rule(self):
        assert problems(RULE) == []
        assert problems(rule(environment="", workflow="")) == []

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"subjects": []}, "Without a condition on the subject"),
            ({"subjects": ["repo:meridian/*"]}, "has a wildcard"),
            ({"subjects": ["repo:meridian/extract-models:*"]}, "has a wildcard"),
            ({"subjects": ["repo:meridian/extract-models:ref:refs/heads/main"]}, "is no subject"),
            ({"subjects": ["repo:other/extract-models:environment:release"]}, "is no subject"),
            ({"subjects": ["repo:meridian/extract-models:pull_request"]}, "of pull requests"),
            ({"repository": "meridian/*"}, "has a wildcard"),
            ({"repository": "meridian"}, "owner/name"),
            ({"repository_id": ""}, "numbers of the repository"),
            ({"owner_id": "0"}, "numbers of the repository"),
            ({"ref": "refs/heads/*"}, "has a wildcard"),
            ({"ref": "main"}, "ref in full"),
            ({"ref": "refs/pull/4/merge"}, "ref in full"),
            ({"environment": "prod-?"}, "has a wildcard"),
            ({"workflow": "release.yml"}, ".github/workflows/release.yml"),
            ({"events": []}, "Runs may be started by"),
            ({"events": ["pull_request_target"]}, "Runs may be started by"),
            ({"may": []}, "name at least one"),
            ({"may": ["decide"]}, "name at least one"),
            ({"models": []}, "Name the models"),
            ({"models": ["*"]}, "has a wildcard"),
            ({"pushers": []}, "Name the people"),
            ({"pushers": [Pusher("bot[bot]", "7", "x")]}, "login, number and user name"),
            ({"pushers": [Pusher("a", "7", "x"), Pusher("b", "7", "y")]}, "is there twice"),
            ({"audience": ""}, "names the issuer and the audience"),
        ],
    )
    def test_names_what_is_wrong(self, changes, words):
        assert any(words in one for one in problems(rule(**changes)))


class TestRefusal:
    def test_takes_what_fits(self):
        assert refusal(RULE, claims()) is None
        assert refusal(RULE, claims(aud=["other", RULE.audience])) is None

    def test_takes_the_subject_in_both_forms_where_both_are_named(self):
        both = rule()
        for subject in subjects_of(both):
            assert refusal(both, claims(sub=subject)) is None
        assert refusal(RULE, claims(sub=subjects_of(both)[1])).code == "wrong_subject"

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"iss": "https://other"}, "wrong_audience"),
            ({"aud": "https://other"}, "wrong_audience"),
            ({"repository": "meridian/other", "repository_id": "9"}, "wrong_repository"),
            ({"repository_id": "457"}, "wrong_repository"),  # the name was given up, and taken
            ({"repository_owner_id": "124"}, "wrong_repository"),
            ({"event_name": "pull_request"}, "pull_request"),
            ({"event_name": "pull_request_target"}, "pull_request"),
            ({"head_ref": "patch-1"}, "pull_request"),
            ({"event_name": "schedule"}, "wrong_event"),
            ({"event_name": ""}, "wrong_event"),
            ({"ref": "refs/heads/other"}, "wrong_ref"),
            ({"ref": "refs/pull/3/merge"}, "wrong_ref"),
            ({"environment": "staging"}, "wrong_environment"),
            ({"workflow_ref": "meridian/extract-models/.github/workflows/x.yml@refs/heads/main"},
             "wrong_workflow"),
            ({"sub": "repo:meridian/extract-models:ref:refs/heads/main"}, "wrong_subject"),
            ({"actor": "octo-dev", "actor_id": "78"}, "unknown_pusher"),
            ({"actor": "renovate[bot]", "actor_id": "29139614"}, "unknown_pusher"),
        ],
    )  # fmt: skip
    def test_says_why_another_does_not_fit(self, changes, code):
        found = refusal(RULE, claims(**changes))
        assert found.code == code
        assert found.words.endswith((".", "here."))

    def test_takes_no_job_that_its_workflow_calls_from_elsewhere(self):
        elsewhere = "mallory/shared/.github/workflows/publish.yml@refs/tags/v1"
        found = refusal(RULE, claims(job_workflow_ref=elsewhere))
        assert (found.code, elsewhere in found.words) == ("wrong_workflow", True)
        assert refusal(rule(workflow=""), claims(job_workflow_ref=elsewhere)) is None

    def test_tells_another_repository_nothing_of_the_rule(self):
        found = refusal(RULE, claims(repository="mallory/x", repository_id="9"))
        assert not any(one in found.words for one in (RULE.repository, RULE.repository_id))

    @pytest.mark.parametrize("name", ["sub", "repository", "ref", "environment", "actor_id"])
    def test_takes_nothing_for_a_claim_that_is_missing(self, name):
        said = claims()
        del said[name]
        assert refusal(RULE, said) is not None

    def test_asks_for_no_environment_or_workflow_that_it_does_not_name(self):
        free = rule(environment="", workflow="", subjects=[])
        free = replace(free, subjects=subjects_of(free))
        said = claims(sub=free.subjects[0], environment="", workflow_ref="elsewhere")
        assert refusal(free, said) is None
        assert refusal(free, said | {"environment": "any"}) is None

    def test_knows_the_person_by_number_whatever_their_name_is_now(self):
        assert RULE.pusher(claims(actor="new-name")).username == "developer"
        assert RULE.pusher(claims(actor_id="1")) is None
