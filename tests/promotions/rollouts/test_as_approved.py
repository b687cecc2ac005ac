"""What is committed is what was approved, to the byte, or the rollout stops."""

import subprocess
from datetime import timedelta

import pytest

from apps.common.canonical import digest_of_bytes
from apps.gateway.reconcile import compiled
from apps.manifests import names
from apps.promotions.binding.bound import files_of
from apps.promotions.models import Promotion, Rollout
from apps.promotions.rollouts import actions as steering
from tests.database import unguarded
from tests.promotions.doubles import approved, drive, subjects, turn

pytestmark = pytest.mark.django_db
MODEL = "prior-auth-extract"
ROUTE = names.route_path(MODEL)
OTHER_COST = "input_tokens + output_tokens * 2u"


@pytest.fixture(autouse=True)
def steps(settings):
    settings.ROLLOUT_STEPS, settings.ROLLOUT_HOLD_SECONDS = (10, 100), 40


@pytest.fixture
def live(rollout, git, cluster):
    """The first version serves all callers."""
    rollout.ended_at = drive(rollout, git, cluster)
    assert rollout.status == "LIVE"
    return rollout


@pytest.fixture
def second(live, registered_model, alice, carol):
    return approved(registered_model, 2, alice, carol, live.ended_at)


def trailers(remote):
    """Return the trailers of every commit, oldest first."""
    out = subprocess.run(
        ["git", "log", "--reverse", "--format=%(trailers:only,unfold)%x1e", "main"],
        cwd=remote,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    records = [part.strip() for part in out.split("\x1e") if part.strip()]
    return [dict(line.split(": ", 1) for line in each.splitlines()) for each in records]


class TestForward:
    def test_commits_the_approved_bytes_and_names_the_dossier(self, second, git, cluster, remote):
        drive(second, git, cluster, second.started_at)
        assert second.status == "LIVE"
        promotion = second.promotion
        for step, path in (("SERVE", names.version_path(MODEL, 2)), ("SHIFT", ROUTE)):
            committed = digest_of_bytes(git.read(path))
            assert committed == files_of(promotion.binding, step)[path]
        own = [each for each in trailers(remote) if each["Quartermaster-Rollout"] == str(second.pk)]
        assert [each["Quartermaster-Step"] for each in own] == ["SERVE", "SHIFT_10", "SHIFT"]
        dossier = promotion.approvals.get().dossier_digest
        assert {each["Quartermaster-Dossier"] for each in own} == {dossier}
        assert {each["Quartermaster-Promotion"] for each in own} == {str(promotion.pk)}

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("SERVING_IMAGE", "vllm/vllm-openai:v0.99.0", "is vllm/vllm-openai:v0.99.0."),
            ("SERVING_START_SECONDS", 77, "Setting start seconds: was "),
            (
                "REGISTRY_READER_ROLE_ARN",
                "arn:aws:iam::1:role/other-{model}",
                "Setting role arn: was ",
            ),
        ],
    )
    def test_stops_before_the_first_commit_and_goes_on_when_it_is_as_approved_again(
        self, live, second, git, cluster, remote, settings, carol, name, value, words
    ):
        was, before = getattr(settings, name), subjects(remote)
        setattr(settings, name, value)
        later = drive(second, git, cluster, second.started_at, turns=2)
        assert (second.status, second.reason) == ("FAILED", "NOT_AS_APPROVED")
        assert "nothing was committed" in second.message and words in second.message
        assert "in step SERVE: was " in second.message
        assert subjects(remote) == before
        setattr(settings, name, was)
        steering.retry_rollout(rollout=second, actor=carol, now=later)
        drive(second, git, cluster, later)
        assert second.status == "LIVE"

    def test_gives_callers_back_by_the_approved_route_where_a_later_step_differs(
        self, live, second, git, cluster, remote, settings
    ):
        now = drive(second, git, cluster, second.started_at, turns=3)
        assert second.weight == 10
        settings.LIMIT_COST = OTHER_COST
        drive(second, git, cluster, now)
        assert (second.status, second.reason, second.weight) == ("FAILED", "NOT_AS_APPROVED", 0)
        assert f"{ROUTE} in step SHIFT: was " in second.message
        assert "Setting limit cost: was total_tokens" in second.message
        assert "All callers are back with prior-auth-extract-v1." in second.message
        assert f"Send all callers of {MODEL} to {MODEL}-v2" not in subjects(remote)
        route = git.read(ROUTE)
        assert digest_of_bytes(route) == files_of(second.promotion.binding, "RETURN")[ROUTE]
        assert OTHER_COST.encode() not in route

    def test_commits_nothing_that_nobody_approved(self, second, git, cluster, remote):
        before = subjects(remote)
        with unguarded():
            Promotion.objects.filter(pk=second.promotion_id).update(binding={}, binding_digest="")
        drive(second, git, cluster, second.started_at, turns=2)
        assert (second.status, second.reason) == ("FAILED", "NOT_AS_APPROVED")
        assert "Nobody approved the bytes" in second.message
        assert subjects(remote) == before

    def test_leaves_the_policy_of_the_grants_alone(
        self, live, second, registered_model, git, cluster
    ):
        path = names.policy_path(MODEL)
        mine = compiled(registered_model, []).text + b"# a grant\n"
        git.commit(changes={path: mine}, message="Grant", trailers={"Quartermaster-Grant": "1"})
        drive(second, git, cluster, second.started_at)
        assert (second.status, git.read(path)) == ("LIVE", mine)


class TestBack:
    def test_goes_back_to_what_was_approved_long_ago_though_every_setting_moved_on(
        self, live, second, git, cluster, settings, alice
    ):
        now = drive(second, git, cluster, second.started_at, turns=40)
        assert git.read(names.version_path(MODEL, 1)) is None, "it was stopped"
        settings.SERVING_IMAGE = "vllm/vllm-openai:v0.99.0"
        settings.LIMIT_COST, settings.SERVING_START_SECONDS = OTHER_COST, 77
        settings.REGISTRY_READER_ROLE_ARN = "arn:aws:iam::1:role/new-{model}"
        shared = names.account_path(MODEL)
        newer = git.read(shared) + b"# as it is now\n"
        git.commit(changes={shared: newer}, message="Move", trailers={"Quartermaster-Move": "1"})
        later = now + timedelta(days=200)
        back = steering.roll_back_rollout(rollout=second, actor=alice, reason="Worse", now=later)
        drive(back, git, cluster, later)
        assert back.status == "LIVE", back.message
        bound = live.promotion.binding
        for step, path in (("SERVE", names.version_path(MODEL, 1)), ("SHIFT", ROUTE)):
            assert digest_of_bytes(git.read(path)) == files_of(bound, step)[path]
        assert git.read(shared) == newer, "all versions share them"

    def test_adds_the_shared_accounts_only_where_there_are_none(
        self, live, second, git, cluster, alice
    ):
        now = drive(second, git, cluster, second.started_at)
        shared = names.account_path(MODEL)
        git.commit(changes={shared: None}, message="Lose", trailers={"Quartermaster-Lose": "1"})
        back = steering.roll_back_rollout(rollout=second, actor=alice, reason="Worse", now=now)
        turn(back, git, cluster, now)
        assert f"reader-{MODEL}".encode() in git.read(shared)

    def test_takes_a_version_back_by_the_route_that_was_approved_for_what_is_live(
        self, live, second, git, cluster, settings, alice
    ):
        now = drive(second, git, cluster, second.started_at, turns=3)
        settings.LIMIT_COST = OTHER_COST
        steering.abort_rollout(rollout=second, actor=alice, reason="No", now=now)
        drive(second, git, cluster, now)
        assert second.status == "ABORTED"
        assert git.read(names.version_path(MODEL, 2)) is None
        assert digest_of_bytes(git.read(ROUTE)) == files_of(live.promotion.binding, "SHIFT")[ROUTE]

    def test_works_for_one_that_was_approved_before_bytes_were_kept(
        self, live, second, git, cluster, alice
    ):
        now = drive(second, git, cluster, second.started_at)
        with unguarded():
            Promotion.objects.filter(pk=live.promotion_id).update(binding={}, binding_digest="")
        back = steering.roll_back_rollout(rollout=second, actor=alice, reason="Worse", now=now)
        drive(back, git, cluster, now)
        assert back.status == "LIVE"
        assert Rollout.objects.get(pk=second.pk).status == "REPLACED"
