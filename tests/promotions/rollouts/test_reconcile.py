"""Rollouts against a real Git repository and a cluster whose answers the test sets. Every run is
done twice.
"""

from datetime import timedelta

import pytest
import yaml

from apps.audit.models import AuditEvent
from apps.catalog.actions import quarantine_version
from apps.gateway.reconcile import compiled
from apps.integrations.errors import PermanentError
from apps.manifests import engine_args
from apps.promotions import actions, queries
from apps.promotions.models import RolloutCommit, RolloutPhase
from apps.promotions.rollouts import actions as steering
from apps.promotions.rollouts import records
from apps.promotions.rollouts.reconcile import NO_ROUTE
from tests.factories import NOW
from tests.promotions import factories
from tests.promotions.doubles import approved, audited, drive, subjects, turn
from tests.promotions.seeing import seen


@pytest.fixture(autouse=True)
def quick(settings):
    """Hold each weight for one turn."""
    settings.ROLLOUT_HOLD_SECONDS, settings.ROLLOUT_MINIMUM_CALLS = 10, 20


@pytest.mark.django_db
class TestServingClass:
    def test_warm_has_no_scaled_object(self, rollout, git, cluster):
        drive(rollout, git, cluster)
        kinds = [
            item["kind"]
            for item in yaml.safe_load_all(git.read("serving/models/prior-auth-extract/v1.yaml"))
        ]
        assert "ScaledObject" not in kinds

    def test_scale_to_zero_is_committed_as_it_was_approved(
        self, registered_model, alice, carol, git, cluster, settings
    ):
        hours = {
            "serving_class": "SCALE_TO_ZERO",
            "pre_warm": "mon-fri 07:30-19:00 America/New_York",
        }
        rollout = approved(registered_model, 1, alice, carol, **hours)
        drive(rollout, git, cluster)
        assert rollout.status == "LIVE"
        objects = {
            item["kind"]: item
            for item in yaml.safe_load_all(git.read("serving/models/prior-auth-extract/v1.yaml"))
        }
        assert objects["InferenceService"]["spec"]["predictor"]["minReplicas"] == 0
        demand, cron = objects["ScaledObject"]["spec"]["triggers"]
        assert demand["metadata"]["url"] == f"{settings.SCALING_URL}/models/prior-auth-extract-v1"
        assert cron["metadata"]["timezone"] == "America/New_York"
        assert hours.items() <= AuditEvent.objects.get(action="promotion.approved").data.items()

    def test_no_hours_are_kept_that_nobody_approved(
        self, registered_model, alice, carol, git, cluster, settings
    ):
        # only a suggestion of the form
        settings.SCALING_PRE_WARM = "mon-fri 07:30-19:00 America/New_York"
        rollout = approved(registered_model, 1, alice, carol, serving_class="SCALE_TO_ZERO")
        drive(rollout, git, cluster)
        *_, scaled = yaml.safe_load_all(git.read("serving/models/prior-auth-extract/v1.yaml"))
        assert [trigger["type"] for trigger in scaled["spec"]["triggers"]] == ["metrics-api"]

    def test_a_live_version_that_starts_again_is_waking_not_broken(
        self, registered_model, alice, carol, git, cluster
    ):
        rollout = approved(registered_model, 1, alice, carol, serving_class="SCALE_TO_ZERO")
        now = drive(rollout, git, cluster)
        cluster.ready = False
        now = drive(rollout, git, cluster, now=now + timedelta(minutes=5), turns=2)
        assert (rollout.status, rollout.reason) == ("LIVE", "")

    def test_a_warm_one_that_does_not_answer_is_not_ready(self, rollout, git, cluster):
        now = drive(rollout, git, cluster)
        cluster.ready = False
        drive(rollout, git, cluster, now=now + timedelta(minutes=5), turns=2)
        assert rollout.reason == "ENGINE"


@pytest.mark.django_db
class TestAdvance:
    def test_goes_live_with_one_commit_per_step_and_one_event_per_transition(
        self, rollout, git, cluster, remote
    ):
        drive(rollout, git, cluster)
        assert (rollout.status, rollout.weight, rollout.engine) == ("LIVE", 100, "stand-in")
        assert rollout.instance_type == "g6.xlarge"
        assert subjects(remote) == [
            "Start prior-auth-extract-v1",
            "Send all callers of prior-auth-extract to prior-auth-extract-v1",
        ]
        assert audited(rollout) == [
            "rollout.committed",
            "rollout.committed",
            "rollout.finished",
            "rollout.started",
        ]
        assert list(RolloutPhase.objects.values_list("phase", flat=True).distinct()) != []
        assert set(RolloutPhase.objects.values_list("phase", flat=True)) == set(
            RolloutPhase.Phase.values
        )
        weights = RolloutPhase.objects.get(phase="WEIGHTS")
        assert weights.reached_at == NOW + timedelta(seconds=20)

    def test_starts_beside_the_baseline_with_a_closed_door(self, rollout, git, cluster):
        turn(rollout, git, cluster, NOW)
        assert git.paths("serving") == [
            "serving/models/prior-auth-extract/account.yaml",
            "serving/models/prior-auth-extract/policy.yaml",
            "serving/models/prior-auth-extract/v1.yaml",
        ]
        text = git.read("serving/models/prior-auth-extract/policy.yaml")
        security, traffic = yaml.safe_load_all(text)
        assert security["spec"]["authorization"] == {"defaultAction": "Deny"}
        # before the route: it may speak for every model's callers
        assert traffic["spec"]["responseOverride"]
        # the very file that the gateway's reconciler makes of no grants
        assert text == compiled(rollout.registered_model, []).text

    def test_commits_no_argument_that_the_engine_would_refuse(
        self, rollout, git, cluster, remote, monkeypatch
    ):
        monkeypatch.setattr(
            engine_args, "check_arguments", lambda *_: ["there is no option --max-model-len."]
        )
        drive(rollout, git, cluster, turns=2)
        assert (rollout.status, rollout.reason) == ("FAILED", "REFUSED")
        assert (
            "vLLM 0.32.0 would refuse its arguments: there is no option --max-model-len."
            in rollout.message
        )
        assert subjects(remote) == []
        found = queries.evidence_for(rollout.model_version, NOW, rollout.promotion).differences
        assert [(each.group, rollout.message in each.found) for each in found] == [
            ("Same commits", True)
        ]

    def test_does_nothing_when_it_is_not_due(self, rollout, git, cluster, remote):
        turn(rollout, git, cluster, NOW - timedelta(seconds=1))
        assert subjects(remote) == []

    def test_replaces_the_live_one_and_stops_it_later(
        self, rollout, git, cluster, remote, registered_model, alice, carol, settings
    ):
        now = drive(rollout, git, cluster)
        second = approved(registered_model, 2, alice, carol, now=now)
        now = drive(second, git, cluster, now=now)
        rollout.refresh_from_db()
        assert (rollout.status, second.status) == ("REPLACED", "LIVE")
        assert "serving/models/prior-auth-extract/v1.yaml" in git.paths("serving")
        drive(
            second, git, cluster, now=now + timedelta(seconds=settings.ROLLOUT_RETIRE_AFTER_SECONDS)
        )
        assert "serving/models/prior-auth-extract/v1.yaml" not in git.paths("serving")
        assert (
            subjects(remote)[-1] == "Stop prior-auth-extract-v1, replaced by prior-auth-extract-v2"
        )
        assert list(
            RolloutCommit.objects.filter(rollout=second).values_list("step", flat=True)
        ) == [
            "SERVE",
            "SHIFT_10",
            "SHIFT_50",
            "SHIFT",
            "RETIRE",
        ]

    def test_never_stops_a_baseline_that_comes_back(
        self, rollout, git, cluster, registered_model, alice, carol, settings
    ):
        now = drive(rollout, git, cluster)
        second = approved(registered_model, 2, alice, carol, now=now)
        now = drive(second, git, cluster, now=now)
        version = rollout.model_version
        factories.run(version, at=now)  # measured against what serves now
        promotion = actions.request_promotion(
            version=version,
            requester=alice,
            justification="Back",
            without_traffic=True,
            now=now,
        )
        back = actions.approve_promotion(
            promotion=promotion,
            approver=carol,
            seen=seen(promotion, now),
            reason="Back",
            now=now,
        )
        now = drive(back, git, cluster, now=now)
        drive(
            second, git, cluster, now=now + timedelta(seconds=settings.ROLLOUT_RETIRE_AFTER_SECONDS)
        )
        assert back.status == "LIVE"
        assert "serving/models/prior-auth-extract/v1.yaml" in git.paths("serving")


@pytest.mark.django_db
class TestCrashes:
    @pytest.mark.parametrize(
        "name", ["record_commit", "record_phases", "record_progress", "finish_rollout"]
    )
    def test_finishes_after_a_kill_before_any_write(
        self, rollout, git, cluster, remote, monkeypatch, name
    ):
        original, killed = getattr(records, name), []

        def killed_once(**arguments):
            if not killed:
                killed.append(name)
                raise KeyboardInterrupt
            return original(**arguments)

        monkeypatch.setattr(records, name, killed_once)
        now = NOW
        for _ in range(30):
            now += timedelta(seconds=20)
            try:
                turn(rollout, git, cluster, now)
            except KeyboardInterrupt:
                continue
        rollout.refresh_from_db()
        assert killed == [name]
        assert rollout.status == "LIVE"
        assert len(subjects(remote)) == 2
        assert audited(rollout).count("rollout.committed") == 2
        assert audited(rollout).count("rollout.finished") == 1

    def test_waits_for_git_and_the_cluster_and_says_so(self, rollout, git, cluster, remote):
        remote.rename(remote.with_suffix(".away"))
        turn(rollout, git, cluster, NOW)
        rollout.refresh_from_db()
        assert (rollout.status, rollout.reason) == ("PENDING", "AWAY")
        assert "Git server is away" in rollout.message
        assert rollout.next_check_at <= NOW + timedelta(seconds=15)
        remote.with_suffix(".away").rename(remote)
        turn(rollout, git, cluster, NOW + timedelta(seconds=20))
        cluster.away = True
        turn(rollout, git, cluster, NOW + timedelta(seconds=40))
        rollout.refresh_from_db()
        assert "cluster cannot be reached" in rollout.message
        cluster.away = False
        drive(rollout, git, cluster, now=NOW + timedelta(minutes=2))
        assert rollout.status == "LIVE"
        assert len(subjects(remote)) == 2


@pytest.mark.django_db
class TestFailures:
    def test_wrong_weights_fail_in_words_and_can_be_retried(
        self, rollout, git, cluster, alice, remote
    ):
        cluster.ready, cluster.exit_code, cluster.message = (
            False,
            1,
            "model.safetensors: SHA-256 is ff",
        )
        now = drive(rollout, git, cluster)
        assert (rollout.status, rollout.reason) == ("FAILED", "CHECKSUM")
        assert "model.safetensors" in rollout.message
        assert audited(rollout).count("rollout.failed") == 1
        cluster.ready, cluster.exit_code = True, 0
        steering.retry_rollout(rollout=rollout, actor=alice, now=now)
        drive(rollout, git, cluster, now=now)
        assert rollout.status == "LIVE"
        assert len(subjects(remote)) == 2

    def test_a_refusing_git_server_fails_in_words(self, rollout, git, cluster, monkeypatch):
        def refuse(**arguments):
            raise PermanentError("The Git server refused the commit: frozen.")

        monkeypatch.setattr(git, "commit", refuse)
        drive(rollout, git, cluster, turns=1)
        assert (rollout.status, rollout.reason) == ("FAILED", "GIT_REFUSED")
        assert "frozen" in rollout.message

    def test_argo_cd_is_asked_again_with_a_commit_once_it_gave_up(
        self, rollout, git, cluster, remote
    ):
        cluster.refusing = "exceeded quota"
        now = drive(rollout, git, cluster, turns=4)
        assert (rollout.status, rollout.reason) == ("PROGRESSING", "SYNC_FAILED")
        assert "exceeded quota" in rollout.message
        assert subjects(remote) == ["Start prior-auth-extract-v1", *["Have Argo CD try again"] * 3]
        now = drive(rollout, git, cluster, now=now, turns=10)
        assert subjects(remote).count("Have Argo CD try again") == 7, (
            "ever less often: four times in ten looks"
        )
        cluster.refusing = ""
        drive(rollout, git, cluster, now=now + timedelta(minutes=5))
        assert rollout.status == "LIVE"

    def test_argo_cd_is_asked_again_where_it_says_that_it_applied_what_the_cluster_has_not(
        self, rollout, git, cluster, remote, monkeypatch
    ):
        """What it says of a commit whose comparison failed once: a webhook was away just then."""
        with monkeypatch.context() as patch:
            patch.setattr(cluster, "route_status", lambda *_: NO_ROUTE)
            now = drive(rollout, git, cluster, turns=5)
        assert (rollout.status, rollout.reason) == ("PROGRESSING", "APPLIED")
        assert (
            "in the cluster AIGatewayRoute prior-auth-extract is not as committed yet"
            in rollout.message
        )
        assert "Have Argo CD try again" in subjects(remote)[2:]
        drive(rollout, git, cluster, now=now)
        assert rollout.status == "LIVE"

    def test_a_rollout_that_stalls_fails(self, rollout, git, cluster):
        cluster.ready = False
        now = drive(rollout, git, cluster)
        assert rollout.status == "PROGRESSING"
        drive(rollout, git, cluster, now=now + timedelta(hours=1), turns=1)
        assert rollout.status == "FAILED"
        assert "Nothing has moved" in rollout.message

    def test_an_abort_takes_the_version_back(self, rollout, git, cluster, alice, remote):
        cluster.ready = False
        now = drive(rollout, git, cluster, turns=2)
        steering.abort_rollout(rollout=rollout, actor=alice, reason="No", now=now)
        drive(rollout, git, cluster, now=now)
        assert rollout.status == "ABORTED"
        assert "serving/models/prior-auth-extract/v1.yaml" not in git.paths("serving")
        assert subjects(remote)[-1] == "Take prior-auth-extract-v1 back"
        assert rollout.next_check_at is None

    def test_a_live_first_version_is_stopped_and_leaves_nothing_that_serves(
        self, rollout, git, cluster, alice, remote, registered_model
    ):
        now = drive(rollout, git, cluster)
        assert rollout.status == "LIVE"
        steering.abort_rollout(rollout=rollout, actor=alice, reason="It leaks names.", now=now)
        drive(rollout, git, cluster, now=now)
        assert (rollout.status, rollout.next_check_at) == ("ABORTED", None)
        assert git.paths("serving/models/prior-auth-extract") == [
            "serving/models/prior-auth-extract/account.yaml",
            "serving/models/prior-auth-extract/policy.yaml",
        ]
        assert subjects(remote)[-1] == "Take prior-auth-extract-v1 back"
        assert queries.live_version(registered_model) is None

    def test_a_live_version_is_stopped_with_its_baseline_that_nobody_may_go_back_to(
        self, rollout, git, cluster, registered_model, alice, carol
    ):
        now = drive(rollout, git, cluster)
        second = approved(registered_model, 2, alice, carol, now=now)
        now = drive(second, git, cluster, now=now, turns=8)
        assert second.status == "LIVE"
        quarantine_version(version=rollout.model_version, reason="R", message="m", now=now)
        assert git.read("serving/models/prior-auth-extract/v1.yaml") is not None
        steering.abort_rollout(rollout=second, actor=alice, reason="Both leak.", now=now)
        drive(second, git, cluster, now=now)
        assert git.paths("serving/models/prior-auth-extract") == [
            "serving/models/prior-auth-extract/account.yaml",
            "serving/models/prior-auth-extract/policy.yaml",
        ]

    def test_an_abort_gives_the_route_back_to_the_baseline(
        self, rollout, git, cluster, registered_model, alice, carol
    ):
        now = drive(rollout, git, cluster)
        second = approved(registered_model, 2, alice, carol, now=now)
        now = drive(second, git, cluster, now=now, turns=2)
        steering.abort_rollout(rollout=second, actor=alice, reason="No", now=now)
        drive(second, git, cluster, now=now)
        route = yaml.safe_load(git.read("serving/models/prior-auth-extract/route.yaml"))
        names = [item["name"] for item in route["spec"]["rules"][0]["backendRefs"]]
        assert names == ["prior-auth-extract-v1"]

    def test_drift_is_noticed_while_live(self, rollout, git, cluster):
        now = drive(rollout, git, cluster)
        path = "serving/models/prior-auth-extract/v1.yaml"
        digest = rollout.promotion.manifest_digest.encode()
        swapped = git.read(path).replace(digest, b"sha256:" + b"0" * 64)
        git.commit(changes={path: swapped}, message="Swap", trailers={"T": "1"})
        drive(rollout, git, cluster, now=now + timedelta(minutes=3), turns=1)
        assert (rollout.status, rollout.reason) == ("LIVE", "DRIFT")
        assert "not what was approved" in rollout.message
