"""Asking for a change of a pool, deciding, and what the database refuses whoever writes."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import Action, AuditEvent
from apps.capacity import actions, queries, records
from apps.capacity.models import CapacityRequest, NodePoolRevision
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import NotPermitted
from apps.manifests.capacity import Budget
from tests.capacity.samples import POOL, WHY, WISH, found, text_of
from tests.database import as_owner
from tests.factories import NOW
from tests.trail import AuditAway, trail

pytestmark = pytest.mark.django_db


def ask(requester, base=1, **change):
    return actions.request_capacity(
        pool=POOL.name,
        base=base,
        wish=replace(WISH, **change),
        justification=WHY,
        requester=requester,
        now=NOW,
    )


def approve(request, approver):
    return actions.approve_capacity(request=request, approver=approver, reason="Fits.", now=NOW)


def reject(request, approver):
    return actions.reject_capacity(request=request, approver=approver, reason="No.", now=NOW)


def audited(request):
    return sorted(
        AuditEvent.objects.about("CapacityRequest", str(request.pk)).values_list(
            "action", flat=True
        )
    )


LATER = NOW + timedelta(hours=1)


@pytest.fixture
def other(pete):
    """A request of pete's for another pool: nothing that happens to the first changes it."""
    revision = found("other-pool")
    return actions.request_capacity(
        pool=revision.pool, base=1, wish=WISH, justification=WHY, requester=pete, now=NOW
    )


def as_stored(request):
    return CapacityRequest.objects.filter(pk=request.pk).values().get()


def failed(request):
    """The request as it stands after the cluster refused it."""
    records.fail_request(request=request, reason="REFUSED", message="The hook said no.", now=NOW)
    CapacityRequest.objects.filter(pk=request.pk).update(attempts=3)
    request.refresh_from_db()
    return request


def found_in_git(**change):
    """The pool as somebody changed it in Git by hand."""
    return records.record_found(pool=POOL.name, text=text_of(replace(POOL, **change)), now=NOW)


class TestRequestCapacity:
    def test_keeps_the_whole_file_that_will_be_committed(self, asked):
        wanted = replace(
            POOL,
            families=("g6", "p5"),
            gpus=96,
            capacity_types=("on-demand",),
            consolidation_policy="WhenEmpty",
            consolidate_after="5m",
            budgets=(Budget("100%", ("Empty",)),),
        )
        assert queries.read_text(asked.text) == wanted
        assert (asked.status, asked.next_check_at) == ("PENDING", None)
        assert audited(asked) == ["capacity.requested"]
        ((action, actor, data),) = trail(asked)
        assert (action, actor) == ("capacity.requested", "pete")
        assert ["GPUs at most", "64", "96"] in data.pop("changes")
        assert data == {"justification": WHY, "base": 1, "digest": asked.digest}
        assert asked.digest == f"sha256:{hashlib.sha256(asked.text.encode()).hexdigest()}"
        assert (asked.pool, asked.justification, asked.requested_at) == (POOL.name, WHY, NOW)
        assert (asked.base.pool, asked.requested_by.username) == (POOL.name, "pete")

    def test_keeps_limits_of_processors_and_memory_and_the_order_of_capacity_types(
        self, revision, pete
    ):
        request = ask(pete, cpu=100, memory_gib=500, capacity_types=("on-demand", "spot"))
        pool = queries.read_text(request.text)
        assert (pool.cpu, pool.memory_gib) == (100, 500)
        assert pool.capacity_types == ("spot", "on-demand")

    @pytest.mark.usefixtures("revision")
    def test_takes_the_highest_limits_that_a_fleet_may_have(self, pete):
        assert ask(pete, gpus=10_000, cpu=1_000_000, memory_gib=10_000_000)

    def test_asks_for_nothing_that_it_cannot_record(self, revision, pete, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            ask(pete)
        assert not CapacityRequest.objects.exists()

    @pytest.mark.usefixtures("revision")
    def test_is_for_platform_engineers_alone(self, rita, fiona, charlie):
        for person in (rita, fiona, charlie):
            with pytest.raises(NotPermitted):
                ask(person)

    def test_refuses_another_revision_than_the_newest(self, asked, petra, rita):
        reject(asked, rita)
        found_in_git(gpus=70)
        with pytest.raises(actions.PoolChanged, match="revision 2"):
            ask(petra, base=1)
        assert ask(petra, base=2).base.number == 2

    def test_takes_one_at_a_time(self, asked, petra):
        with pytest.raises(actions.CannotChangeCapacity, match="under way"):
            ask(petra)

    @pytest.mark.usefixtures("revision")
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"families": ("g6", "x99")}, "Unknown instance families: x99"),
            ({"families": ("g6f",)}, "Unknown instance families: g6f"),
            (
                {"families": ("p4d",), "gpus": 7},
                "No machine of p4d fits.*p4d.24xlarge, has 8 GPUs, 96 vCPUs",
            ),
            (
                {"families": ("g6",), "cpu": 3},
                "the smallest, g6.xlarge, has 1 GPU, 4 vCPUs and 16 GiB",
            ),
            ({"families": ()}, "at least one instance family"),
            ({"gpus": 10_001}, "higher than any fleet"),
            ({"cpu": 1_000_001}, "higher than any fleet"),
            ({"memory_gib": 10_000_001}, "higher than any fleet"),
            ({"families": ("x99", "g6", "a1b")}, "families: a1b, x99. Known: .*g6, "),
            ({"gpus": -1}, "0 or more"),
            ({"budgets": ()}, "1 to 50 disruption budgets"),
            ({"budgets": (Budget("1", (), "every day", "8h"),)}, "five cron fields"),
            ({"consolidate_after": "soon"}, "duration such as"),
        ],
    )
    def test_refuses_in_words(self, pete, change, words):
        with pytest.raises(actions.CannotChangeCapacity, match=words):
            ask(pete, **change)
        assert not CapacityRequest.objects.exists()

    @pytest.mark.usefixtures("revision")
    def test_refuses_what_changes_nothing(self, pete):
        same = {name: getattr(POOL, name) for name in WISH.__dataclass_fields__}
        with pytest.raises(actions.CannotChangeCapacity, match="Nothing would change"):
            ask(pete, **same)

    def test_refuses_a_pool_that_nobody_knows_or_the_portal_cannot_read(self, pete):
        with pytest.raises(actions.CannotChangeCapacity, match="knows of no pool"):
            ask(pete)
        records.record_found(
            pool=POOL.name,
            text=text_of(POOL).replace("  limits:", "  replicas: 3\n  limits:"),
            now=NOW,
        )
        with pytest.raises(actions.CannotChangeCapacity, match="spec.replicas.*by hand"):
            ask(pete)

    def test_refuses_a_file_that_is_named_after_another_pool(self, pete):
        records.record_found(pool=POOL.name, text=text_of(replace(POOL, name="other")), now=NOW)
        with pytest.raises(actions.CannotChangeCapacity, match="the pool in it is other"):
            ask(pete)


class TestApproveCapacity:
    @pytest.mark.parametrize("decider", ["petra", "rita"])
    def test_is_for_another_platform_engineer_or_a_reviewer(self, asked, decider, request):
        done = approve(asked, request.getfixturevalue(decider))
        assert (done.status, done.next_check_at, done.decided_by.username) == (
            "APPROVED",
            NOW,
            decider,
        )
        assert audited(asked) == ["capacity.approved", "capacity.requested"]

    def test_decides_this_request_and_asks_a_worker_at_once(self, asked, other, rita, enqueued):
        untouched = as_stored(other)
        with enqueued() as sent:
            actions.approve_capacity(request=asked, approver=rita, reason="Fits.", now=LATER)
        assert sent == [("capacity.reconcile_capacity_request", {"request_id": str(asked.pk)})]
        stored = as_stored(asked)
        assert (stored["decided_at"], stored["decision_reason"]) == (LATER, "Fits.")
        assert (stored["next_check_at"], stored["moved_at"]) == (LATER, LATER)
        facts = {"reason": "Fits.", "digest": asked.digest}
        assert trail(asked)[1:] == [("capacity.approved", "rita", facts)]
        assert as_stored(other) == untouched

    def test_decides_nothing_that_it_cannot_record(self, asked, rita, audit_away):
        for decide in (approve, reject):
            with audit_away(), pytest.raises(AuditAway):
                decide(asked, rita)
            assert as_stored(asked)["status"] == "PENDING"

    def test_is_never_for_whoever_asked(self, asked, pete):
        for decide in (approve, reject):
            with pytest.raises(NotOnesOwn, match="own request"):
                decide(asked, pete)
        asked.refresh_from_db()
        assert asked.status == "PENDING"

    def test_is_not_for_others(self, asked, fiona, charlie):
        for person in (fiona, charlie):
            with pytest.raises(NotPermitted):
                approve(asked, person)

    def test_happens_once(self, asked, petra, rita):
        approve(asked, rita)
        for decide in (approve, reject):
            with pytest.raises(AlreadyDecided, match="approved"):
                decide(CapacityRequest.objects.get(pk=asked.pk), petra)
        approved = {"reason": "Fits.", "digest": asked.digest}
        assert trail(asked)[1:] == [(Action.CAPACITY_APPROVED, rita.username, approved)]

    def test_refuses_a_request_on_a_pool_that_has_changed(self, asked, rita):
        found_in_git(gpus=70)
        with pytest.raises(actions.PoolChanged, match="revision 1 then, 2 now"):
            approve(asked, rita)
        assert reject(asked, rita).status == "REJECTED"
        assert trail(asked)[1:] == [(Action.CAPACITY_REJECTED, rita.username, {"reason": "No."})]


class TestRejectCapacity:
    def test_ends_this_request_and_says_why(self, asked, other, rita, enqueued):
        untouched = as_stored(other)
        with enqueued() as sent:
            actions.reject_capacity(request=asked, approver=rita, reason="No.", now=LATER)
        stored = as_stored(asked)
        assert (asked.status, asked.decided_by, stored["decided_at"]) == ("REJECTED", rita, LATER)
        assert (stored["decision_reason"], stored["finished_at"]) == ("No.", LATER)
        assert trail(asked)[1:] == [("capacity.rejected", "rita", {"reason": "No."})]
        assert (as_stored(other), sent) == (untouched, [])


class TestWithdrawCapacity:
    def test_ends_this_request(self, asked, other, pete, audit_away):
        untouched = as_stored(other)
        with audit_away(), pytest.raises(AuditAway):
            actions.withdraw_capacity(request=asked, actor=pete, now=LATER)
        assert as_stored(asked)["status"] == "PENDING"
        actions.withdraw_capacity(request=asked, actor=pete, now=LATER)
        stored = as_stored(asked)
        assert (stored["finished_at"], stored["decided_at"], asked.decided_by) == (
            LATER,
            LATER,
            pete,
        )
        assert trail(asked)[1:] == [("capacity.withdrawn", "pete", {})]
        assert as_stored(other) == untouched

    def test_is_for_whoever_asked_while_it_waits(self, asked, pete, petra, rita):
        with pytest.raises(NotPermitted):
            actions.withdraw_capacity(request=asked, actor=petra, now=NOW)
        actions.withdraw_capacity(request=asked, actor=pete, now=NOW)
        assert asked.status == "WITHDRAWN"
        assert trail(asked)[1:] == [(Action.CAPACITY_WITHDRAWN, pete.username, {})]
        with pytest.raises(AlreadyDecided):
            approve(asked, rita)


class TestRetryCapacity:
    def test_wakes_the_worker_for_this_request(self, approved, other, pete, rita, enqueued):
        failed(approved)
        failed(actions.approve_capacity(request=other, approver=rita, reason="Fits.", now=NOW))
        untouched = as_stored(other)
        with enqueued() as sent:
            actions.retry_capacity(request=approved, actor=pete, now=LATER)
        assert sent == [("capacity.reconcile_capacity_request", {"request_id": str(approved.pk)})]
        stored = as_stored(approved)
        assert (stored["reason"], stored["attempts"], stored["finished_at"]) == ("", 0, None)
        assert (stored["next_check_at"], stored["moved_at"]) == (LATER, LATER)
        assert trail(approved)[-1] == ("capacity.retried", "pete", {})
        assert as_stored(other) == untouched

    def test_tries_nothing_that_it_cannot_record(self, approved, pete, audit_away):
        failed(approved)
        with audit_away(), pytest.raises(AuditAway):
            actions.retry_capacity(request=approved, actor=pete, now=LATER)
        assert as_stored(approved)["status"] == "FAILED"

    def test_goes_on_after_its_commit_though_that_is_the_pools_newest_state(self, approved, pete):
        records.record_commit(request=approved, commit="a" * 40, now=NOW, next_check_at=NOW)
        approved.refresh_from_db()
        failed(approved)
        assert actions.retry_capacity(request=approved, actor=pete, now=NOW).status == "COMMITTED"

    def test_goes_on_where_it_stopped(self, approved, pete):
        records.fail_request(
            request=approved, reason="REFUSED", message="The hook said no.", now=NOW
        )
        approved.refresh_from_db()
        done = actions.retry_capacity(request=approved, actor=pete, now=NOW)
        assert (done.status, done.message, done.next_check_at, done.generation) == (
            "APPROVED",
            "",
            NOW,
            2,
        )
        assert "capacity.retried" in audited(approved)

    def test_refuses_what_did_not_fail(self, approved, pete):
        with pytest.raises(actions.CannotRetry, match="Only a failed request"):
            actions.retry_capacity(request=approved, actor=pete, now=NOW)

    def test_refuses_where_the_pool_says_something_else_by_now(self, approved, pete, rita):
        records.fail_request(request=approved, reason="REFUSED", message="No.", now=NOW)
        found_in_git(gpus=70)
        with pytest.raises(actions.CannotRetry, match="other settings by now"):
            actions.retry_capacity(request=approved, actor=pete, now=NOW)
        with pytest.raises(NotPermitted):
            actions.retry_capacity(request=approved, actor=rita, now=NOW)

    def test_refuses_while_another_request_is_open(self, approved, pete, petra):
        records.fail_request(request=approved, reason="REFUSED", message="No.", now=NOW)
        ask(petra, gpus=10)
        with pytest.raises(actions.CannotRetry, match="under way"):
            actions.retry_capacity(request=approved, actor=pete, now=NOW)


class TestRecordFound:
    def test_keeps_each_state_once(self, revision):
        assert found_in_git() is None
        assert found_in_git(gpus=70).number == 2
        assert found_in_git().number == 3
        assert AuditEvent.objects.filter(action="pool.found").count() == 3

    def test_leaves_an_approved_change_to_its_request(self, approved):
        assert records.record_found(pool=POOL.name, text=approved.text, now=NOW) is None


class TestTheDatabase:
    """What no action would do, an owner of a psql prompt might."""

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                {"status": "APPROVED", "decided_at": NOW, "decided_by": "pete"},
                "not_decided_by_requester",
            ),
            (
                {"status": "REJECTED", "decided_at": NOW, "decided_by": "pete"},
                "not_decided_by_requester",
            ),
            ({"status": "APPROVED", "decided_at": NOW}, "decided_by_somebody"),
            ({"status": "COMMITTED", "decided_at": NOW, "commit": "a" * 40}, "never becomes"),
            ({"status": "APPROVED", "decided_by": "rita"}, "decided_at_when_decided"),
            ({"status": "APPLIED", "decided_at": NOW, "decided_by": "rita"}, "never becomes"),
            ({"requested_by": "rita"}, "never changes"),
            ({"text": "another file"}, "never changes"),
            ({"digest": "sha256:0"}, "never changes"),
            ({"pool": "another"}, "never changes"),
        ],
    )
    def test_refuses(self, asked, rita, change, words):
        people = {"pete": asked.requested_by, "rita": rita}
        values = {
            name: people[value] if name.endswith("_by") else value for name, value in change.items()
        }
        with as_owner(), pytest.raises(IntegrityError, match=words), transaction.atomic():
            CapacityRequest.objects.filter(pk=asked.pk).update(**values)

    def test_refuses_a_commit_that_is_not_named(self, approved):
        with pytest.raises(IntegrityError, match="has_its_commit"), transaction.atomic():
            CapacityRequest.objects.filter(pk=approved.pk).update(status="COMMITTED")

    def test_refuses_another_decider_afterwards(self, approved, petra):
        with pytest.raises(IntegrityError, match="who decided"), transaction.atomic():
            CapacityRequest.objects.filter(pk=approved.pk).update(decided_by=petra)

    def test_refuses_another_revision_afterwards(self, revision):
        for change in (lambda: NodePoolRevision.objects.update(text=""), lambda: revision.delete()):
            with (
                as_owner(),
                pytest.raises(IntegrityError, match="immutable"),
                transaction.atomic(),
            ):
                change()
