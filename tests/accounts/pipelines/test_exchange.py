"""Signing a run in, what it may do then, and for whom four eyes take it."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from joserfc.jwk import RSAKey

from apps.accounts import provider
from apps.accounts.models import Role, User
from apps.accounts.pipelines import actions, doors, exchange
from apps.accounts.pipelines.models import PipelineRun
from apps.accounts.tokens import TokenRefused
from apps.audit.models import Action, AuditEvent
from apps.catalog.models import ModelVersion
from apps.common.errors import NotPermitted
from apps.common.sign_ins import JUST_NOW
from apps.promotions.actions import question
from tests.accounts.pipelines import samples
from tests.database import as_owner
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories as promoted
from tests.trail import trail

pytestmark = pytest.mark.django_db
PUSHED = {"actor": "octo-bob", "actor_id": "102"}


def sign_in(**changes):
    """Sign a run in whose claims were checked."""
    return exchange.sign_in_run(claims=samples.claims(**PUSHED | changes), now=timezone.now())


class TestSignInRun:
    def test_acts_for_the_person_who_pushed(self, bob, pipeline, alice):
        found = sign_in()
        account = found.run.account
        assert (account.acts_for, account.person, account.team) == (bob, bob.person, alice.team)
        assert (account.username, account.name) == (
            "extract-release/bob",
            "extract-release for Bob",
        )
        assert not account.role_bindings.exists()
        action, actor, data = trail(pipeline)[-1]
        assert (action, actor) == (Action.PIPELINE_SIGNED_IN, "extract-release/bob")
        assert (data["run_id"], data["actor_id"], data["sha"]) == ("9001", "102", "c" * 40)
        assert found.token not in str(data)
        assert found.run.digest == exchange.digest_of_token(found.token)

    def test_has_one_account_for_each_person(self, pipeline):
        first, second = sign_in().run.account, sign_in(run_attempt="2").run.account
        assert first == second
        assert User.objects.filter(acts_for__isnull=False).count() == 1

    def test_tells_accounts_apart_whose_names_are_the_same(self, bob, pipeline):
        UserFactory(username="extract-release/bob")
        assert sign_in().run.account.username == f"extract-release/bob#{bob.pk}"

    def test_takes_a_token_once(self, pipeline):
        sign_in(jti="the-same")
        with pytest.raises(TokenRefused, match="taken once") as refused:
            sign_in(jti="the-same", run_attempt="2")
        assert refused.value.reason == "replayed"
        assert PipelineRun.objects.count() == 1

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"repository": "mallory/extract-models", "repository_id": "999",
              "sub": "repo:mallory/extract-models:environment:release"}, "wrong_repository"),
            ({"event_name": "pull_request", "head_ref": "patch-1"}, "pull_request"),
            ({"ref": "refs/heads/other"}, "wrong_ref"),
            ({"actor": "mallory", "actor_id": "666"}, "unknown_pusher"),
            ({"jti": ""}, "missing_claim"),
            ({"run_id": None}, "missing_claim"),
        ],
    )  # fmt: skip
    def test_refuses_with_why(self, pipeline, changes, reason):
        with pytest.raises(TokenRefused) as refused:
            sign_in(**changes)
        assert refused.value.reason == reason
        assert not PipelineRun.objects.exists()
        assert not User.objects.filter(acts_for__isnull=False).exists()

    def test_refuses_while_nothing_is_registered(self):
        with pytest.raises(TokenRefused, match="No pipeline is registered"):
            sign_in()

    def test_refuses_where_it_was_shut_out(self, alice, pipeline):
        actions.end_pipeline(rule=pipeline, actor=alice, reason="Leaked.", now=NOW)
        with pytest.raises(TokenRefused, match="No pipeline is registered"):
            sign_in()

    def test_refuses_a_person_who_was_deactivated(self, bob, pipeline):
        with as_owner():
            User.objects.filter(pk=bob.pk).update(is_active=False)
        with pytest.raises(TokenRefused, match="deactivated"):
            sign_in()

    def test_takes_the_pipeline_whose_rule_fits(self, alice, engineer, pipeline, pushes):
        samples.let_in(
            "nightly", requester=alice, approver=engineer, team=alice.team, pushers=[pushes],
            ref="refs/heads/nightly", environment="", may=["publish"],
        )  # fmt: skip
        found = sign_in(
            ref="refs/heads/nightly",
            environment="",
            sub="repo:meridian/extract-models:ref:refs/heads/nightly",
            workflow_ref="meridian/extract-models/.github/workflows/publish-model.yml@refs/heads/nightly",
        )
        assert found.run.pipeline_rule.name == "nightly"

    def test_follows_accounts_that_are_found_to_be_one_persons(self, alice, bob, pipeline):
        account = sign_in().run.account
        User.objects.filter(pk=bob.pk).update(person=alice.person)
        assert sign_in().run.account.person == alice.person
        account.refresh_from_db()
        assert account.person == alice.person


class TestAccountOf:
    def asked(self, token, method="GET", door="api:me", now=None):
        return doors.account_of(token, method=method, door=door, now=now or timezone.now())

    def test_owns_the_models_that_its_rule_names(self, alice, pipeline):
        account = self.asked(sign_in().token)
        assert account.roles == {Role.MODEL_OWNER}
        assert account.sign_in is None
        named = RegisteredModelFactory(name="summary", owner_team=alice.team)
        other = RegisteredModelFactory(name="other", owner_team=alice.team)
        assert named.is_owned_by(account)
        assert not other.is_owned_by(account)
        assert other.is_owned_by(alice)

    def test_ends_after_a_quarter_of_an_hour(self, pipeline):
        token = sign_in().token
        assert self.asked(token, now=timezone.now() + timedelta(minutes=14))
        with pytest.raises(TokenRefused, match="has ended"):
            self.asked(token, now=timezone.now() + timedelta(minutes=16))
        with pytest.raises(TokenRefused, match="has ended"):
            self.asked("qmp_made-up")

    def test_ends_with_the_rule_that_it_rests_on(self, alice, engineer, pipeline, pushes):
        token = sign_in().token
        samples.let_in(
            pipeline.name, requester=alice, approver=engineer, team=alice.team, pushers=[pushes]
        )
        with pytest.raises(TokenRefused, match="in force no more"):
            self.asked(token)

    def test_ends_when_the_pipeline_is_shut_out(self, alice, pipeline):
        token = sign_in().token
        actions.end_pipeline(rule=pipeline, actor=alice, reason="Leaked.", now=NOW)
        with pytest.raises(TokenRefused, match="in force no more"):
            self.asked(token)

    def test_ends_with_the_person(self, bob, pipeline):
        token = sign_in().token
        with as_owner():
            User.objects.filter(pk=bob.pk).update(is_active=False)
        with pytest.raises(TokenRefused, match="deactivated"):
            self.asked(token)

    def test_opens_what_the_rule_lets_it(self, alice, engineer, pushes):
        samples.let_in(
            "publisher", requester=alice, approver=engineer, team=alice.team, pushers=[pushes],
            may=["publish"],
        )  # fmt: skip
        token = sign_in().token
        assert self.asked(token, "POST", "api:versions")
        for door in ("api:promotions", "api:evaluation_runs"):
            with pytest.raises(NotPermitted, match="does not let it"):
                self.asked(token, "POST", door)

    def test_names_doors_that_there_are(self):
        for _, door in doors.DOORS:
            model = {"name": "extract"} if "model" in door or "version" in door else {}
            number = {"number": 1} if "version" in door and door != "api:versions" else {}
            file = {"file_name": "a"} if "parts" in door else {}
            pk = {"pk": "5f0a1f0e-5d0f-4e0a-8f5b-0a4c1d2e3f40"}
            one = door in ("api:evaluation_run", "api:promotion", "api:rollout")
            plural = door in ("api:models",)
            assert reverse(door, kwargs=pk if one else {} if plural else model | number | file)


class TestFourEyes:
    def test_leave_out_whoever_pushed(self, bob, carol, pipeline):
        model = RegisteredModelFactory(name="extract", owner_team=pipeline.team)
        proposed = promoted.proposed(model, 1, sign_in().run.account)
        for person in (bob, carol):
            person.remember_roles([Role.REVIEWER])
            person.sign_in = JUST_NOW
        assert question(proposed, bob).is_own
        assert not question(proposed, bob).may_decide
        assert question(proposed, carol).may_decide


@pytest.fixture
def github(settings):
    """GitHub's issuer, as the portal is told of it."""
    with samples.issuer() as found:
        settings.PIPELINE_ISSUER = found.url
        provider.forget()
        yield found
    provider.forget()


class TestOverHttp:
    """The whole way: a signed token in, a version published, everything else shut."""

    @pytest.fixture
    def run_token(self, github, pipeline_here):
        answer = self.exchanged(github.token(**PUSHED))
        assert answer.status_code == 200
        return answer.json()["access_token"]

    @pytest.fixture
    def pipeline_here(self, github, alice, engineer, pushes):
        return samples.let_in(
            "extract-release", requester=alice, approver=engineer, team=alice.team, pushers=[pushes]
        )

    def exchanged(self, token):
        return Client().post(
            "/api/v1/pipelines/token", {"token": token}, content_type="application/json"
        )

    def asked(self, token, method, url, body=None):
        client = Client(raise_request_exception=False)
        more = {"data": body, "content_type": "application/json"} if body is not None else {}
        return getattr(client, method)(url, headers={"Authorization": f"Bearer {token}"}, **more)

    def test_opens_a_version_as_the_pipeline(self, run_token, alice):
        RegisteredModelFactory(name="extract", owner_team=alice.team)
        files = [
            {"name": "config.json", "size": 10, "sha256": "a" * 64},
            {"name": "m.safetensors", "size": 9, "sha256": "b" * 64},
        ]
        me = self.asked(run_token, "get", "/api/v1/me").json()
        assert (me["username"], me["roles"]) == ("extract-release/bob", ["MODEL_OWNER"])
        made = self.asked(run_token, "post", "/api/v1/models/extract/versions", {"files": files})
        assert made.status_code == 201
        assert ModelVersion.objects.get().created_by.acts_for.username == "bob"
        assert AuditEvent.objects.filter(actor="extract-release/bob").count() == 2

    def test_may_not_act_on_other_models(self, run_token, alice):
        RegisteredModelFactory(name="other", owner_team=alice.team)
        body = {"files": [{"name": "config.json", "size": 1, "sha256": "a" * 64}]}
        answer = self.asked(run_token, "post", "/api/v1/models/other/versions", body)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")

    def test_says_why_it_refuses(self, github, pipeline_here):
        other = RSAKey.generate_key(2048, {"kid": "one"})
        real, github.key = github.key, other
        forged = github.token(**PUSHED)
        github.key = real
        used = github.token(**PUSHED)
        assert self.exchanged(used).status_code == 200
        refused = {
            "bad_signature": forged,
            "replayed": used,
            "expired": github.token(**PUSHED, iat=1_700_000_000, exp=1_700_000_300),
            "wrong_audience": github.token(**PUSHED, aud="https://other.example"),
            "wrong_issuer": github.token(**PUSHED, iss="https://evil.example"),
            "wrong_repository": github.token(**PUSHED, repository="a/b", repository_id="9"),
            "pull_request": github.token(**PUSHED, event_name="pull_request", head_ref="x"),
            "malformed": "nonsense",
        }
        for code, token in refused.items():
            answer = self.exchanged(token)
            assert (answer.status_code, answer.json()["code"]) == (401, code)
            assert answer.json()["detail"]

    def test_takes_no_token_of_github_itself_at_other_doors(self, github, pipeline_here):
        answer = self.asked(github.token(**PUSHED), "get", "/api/v1/me")
        assert answer.status_code in (401, 503)

    def test_waits_for_the_issuers_keys(self, settings, alice):
        settings.PIPELINE_ISSUER = "http://127.0.0.1:1"
        provider.forget()
        answer = self.exchanged(samples.Issuer("http://127.0.0.1:1").token())
        assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unavailable")
        provider.forget()
