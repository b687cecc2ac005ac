"""A promotion's change in the double of ServiceNow, which is also told to lie. Every step runs
twice: the second time changes nothing.
"""

from datetime import timedelta

import pytest

from apps.accounts.models import Role
from apps.audit.models import AuditEvent
from apps.integrations.servicenow.parsing import utc_text
from apps.notices.models import Notice
from apps.promotions import actions as promotions
from apps.promotions import begin
from apps.promotions.changes import reconcile
from apps.promotions.changes.actions import ask_for_change
from apps.promotions.changes.gate import CHECK_AGAIN, gate_of
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.dossier import document
from apps.promotions.emergencies.actions import declare_emergency
from apps.promotions.models import Approval, Promotion, Rollout
from apps.promotions.rollouts import actions as steering
from deploy.local.doubles.servicenow import tables
from tests.factories import NOW, UserFactory
from tests.integrations.servicenow_double import ADDRESS, Instance
from tests.promotions import factories as make
from tests.promotions.seeing import seen

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture
def instance(tmp_path, settings):
    settings.SERVICENOW_URL = ADDRESS
    settings.SERVICENOW_WINDOW_HOURS = 2
    return Instance(tmp_path)


@pytest.fixture
def promotion(registered_model, alice, instance):
    """A promotion that waits."""
    return make.proposed(registered_model, 1, alice, justification="Member 4711 complained")


class Follower:
    """Looks at one promotion's change, at a time that goes on."""

    def __init__(self, promotion, instance):
        self.now, self.promotion, self.instance = NOW, promotion, instance
        self.servicenow = instance.client()
        ask_for_change(promotion=promotion, actor=promotion.requested_by, now=NOW)

    @property
    def row(self):
        return ChangeRecord.objects.get(promotion=self.promotion, kind="NORMAL")

    @property
    def sys_id(self):
        return self.instance.changes()[0]["sys_id"]

    @property
    def gate(self):
        return gate_of(Promotion.objects.get(pk=self.promotion.pk), self.now)

    def look(self, times=1, pause=MINUTE):
        for _ in range(times):
            row = self.row
            ChangeRecord.objects.filter(pk=row.pk).exclude(status="CLOSED").update(
                next_check_at=self.now
            )
            reconcile.reconcile_change(row=row, servicenow=self.servicenow, now=self.now)
            self.now += pause
        return self.row

    def let_pass(self):
        """Bring it to where a rollout may start."""
        self.look(2)
        self.instance.approve(self.sys_id)
        self.look(3)
        assert self.gate.is_open_for_start, self.gate.words


@pytest.fixture
def follower(promotion, instance):
    return Follower(promotion, instance)


def trail():
    return [
        (event.action, event.data.get("code", ""))
        for event in AuditEvent.objects.filter(target_type="ChangeRecord").order_by("recorded_at")
    ]


def told():
    """Return who was told what of changes."""
    return sorted(Notice.objects.values_list("user__username", "title"))


def state_of(instance):
    return [(row["state"], row["approval"], row["close_code"]) for row in instance.changes()]


class TestOpening:
    def test_opens_one_change_with_what_is_bound_and_asks_for_its_approval(
        self, follower, instance, promotion
    ):
        follower.look(3)
        (change,) = instance.changes()
        assert change["correlation_id"] == f"quartermaster:normal:{promotion.pk}"
        assert promotion.manifest_digest in change["description"]
        assert change["start_date"] == utc_text(NOW)
        assert change["end_date"] == utc_text(NOW + 2 * timedelta(hours=1))
        assert (change["state"], change["approval"]) == ("-4", "requested")
        row = follower.row
        assert (row.status, row.number, row.sys_id) == ("OPEN", change["number"], change["sys_id"])
        assert row.differences == []
        assert trail() == [("change.asked", ""), ("change.opened", ""), ("change.moved", "")]

    def test_writes_nothing_that_people_typed(self, follower, instance):
        follower.look()
        assert "4711" not in str(instance.changes())

    def test_is_asked_for_once_whoever_asks(self, follower, promotion, alice):
        again = ask_for_change(promotion=promotion, actor=alice, now=NOW)
        assert again == follower.row
        assert reconcile.ask_for_missing(NOW) == []
        assert trail() == [("change.asked", "")]

    def test_is_found_again_where_the_answer_came_too_late(self, follower, instance):
        instance.tell("held")
        row = follower.look()
        assert (row.status, row.reason) == ("OPENING", "AWAY")
        assert "did not answer in time" in follower.gate.words
        assert len(instance.changes()) == 1  # it was made all the same
        row = follower.look(2)
        assert (row.status, row.reason) == ("OPEN", "")
        assert len(instance.changes()) == 1
        assert ("change.adopted", "") in trail()

    def test_nothing_is_made_where_the_look_up_was_widened(self, follower, instance):
        for correlation_id in ("theirs", "others"):
            instance.store.insert(
                "change_request",
                {"correlation_id": correlation_id, "state": "-5", "approval": "requested",
                 "on_hold": "false", "type": "normal", "start_date": "", "end_date": ""},
            )  # fmt: skip
        instance.tell("widened")
        row = follower.look()
        assert (row.status, row.reason) == ("OPENING", "UNTRUE")
        assert len(instance.changes()) == 2
        assert not follower.gate.is_open_for_start
        assert follower.look().status == "OPEN"
        assert len(instance.changes()) == 3

    def test_two_are_an_alarm_until_one_is_canceled(self, follower, instance, carol, charlie):
        instance.tell("doubled")
        follower.look(3)
        row, (first, second) = follower.row, instance.changes()
        assert row.reason == "TWO_CHANGES"
        assert first["number"] in row.message and second["number"] in row.message
        assert row.message == follower.gate.words
        assert trail().count(("change.doubted", "TWO_CHANGES")) == 1
        words = f"{row.number} of prior-auth-extract-v1 is in doubt in ServiceNow"
        assert told() == [
            ("alice", f"{words}: its rollout waits"),
            ("carol", f"{words}: its rollout waits"),
        ]
        other = first if row.sys_id == second["sys_id"] else second
        instance.write("change_request", other["sys_id"], state="4")
        assert follower.look().reason == ""

    def test_a_worker_that_is_not_due_or_late_changes_nothing(self, follower, instance):
        follower.look()
        row, before = follower.row, len(instance.line.calls)
        reconcile.reconcile_change(row=row, servicenow=follower.servicenow, now=NOW)
        assert len(instance.line.calls) == before

    def test_is_asked_for_with_the_proposal(self, registered_model, alice, instance, enqueued):
        version = make.version(registered_model, 3)
        make.run(version)
        with enqueued() as sent:
            made = promotions.request_promotion(
                version=version, requester=alice, justification="Better.", now=NOW
            )
        change = ChangeRecord.objects.get(promotion=made)
        assert ("promotions.reconcile_change", {"change_id": str(change.pk)}) in sent

    def test_asks_for_what_was_proposed_before_there_was_a_servicenow(
        self, promotion, registered_model, instance
    ):
        make.rolled(registered_model, 2)  # has its rollout: needs none
        (change,) = reconcile.ask_for_missing(NOW)
        assert change.promotion == promotion
        assert AuditEvent.objects.get(action="change.asked").actor.startswith("system:")


class TestGate:
    def test_opens_with_the_approval_the_window_and_a_check_without_conflicts(
        self, follower, instance
    ):
        follower.look(2)
        assert "waits for its approval in ServiceNow (Assess)" in follower.gate.words
        instance.approve(follower.sys_id)
        follower.look()
        assert "checked for conflicts" in follower.gate.words or follower.gate.is_open_for_start
        follower.look(2)
        gate = follower.gate
        assert gate.is_open_for_start
        assert gate.url == f"{ADDRESS}/change_request.do?sys_id={follower.sys_id}"
        before = trail()
        follower.look(2)
        assert trail() == before
        seen = AuditEvent.objects.filter(
            action="change.seen", data__after__has_key="approval", data__has_key="before"
        ).get()
        assert seen.data["before"]["approval"] == "requested"
        assert seen.data["after"]["approval"] == "approved"

    def test_shuts_where_the_approval_is_withdrawn(self, follower, instance):
        follower.let_pass()
        instance.write("change_request", follower.sys_id, state="-3", approval="requested")
        follower.look()
        assert "waits for its approval" in follower.gate.words

    def test_says_that_it_was_rejected_and_does_not_ask_again(self, follower, instance):
        follower.look(2)
        instance.reject(follower.sys_id)
        follower.look(3)
        assert "was rejected in ServiceNow" in follower.gate.words
        assert state_of(instance) == [("-5", "rejected", "")]
        number = follower.row.number
        title = f"{number} of prior-auth-extract-v1 was rejected in ServiceNow"
        assert told() == [("alice", title)]

    def test_shuts_when_the_window_has_passed_and_opens_in_a_new_one(self, follower, instance):
        follower.let_pass()
        follower.now = NOW + timedelta(hours=2)
        follower.look()
        assert "ended at 2 Nov 11:00 UTC" in follower.gate.words
        later = follower.now + timedelta(hours=1)
        instance.write("change_request", follower.sys_id, end_date=utc_text(later))
        follower.look()
        assert "checked for conflicts" in follower.gate.words  # the check was of another window
        follower.look(2)
        assert follower.gate.is_open_for_start

    def test_shuts_on_a_conflict_that_is_found_late(self, follower, instance):
        follower.let_pass()
        page = instance.browser()
        form = {"sys_id": follower.sys_id, "do": "conflict", "conflict": "CHG7: same machines"}
        page.post("/change_request.do", data=form)
        follower.look(1 + CHECK_AGAIN // MINUTE + 2)
        assert "CHG7: same machines" in follower.gate.words
        seen = AuditEvent.objects.filter(action="change.seen").latest("recorded_at")
        assert seen.data["before"] == {"conflicts": []}
        assert "CHG7: same machines" in seen.data["after"]["conflicts"][0]

    def test_shuts_where_the_change_was_altered(self, follower, instance):
        follower.let_pass()
        text = instance.changes()[0]["description"].replace("sha256", "sha255")
        instance.write("change_request", follower.sys_id, description=text)
        follower.look(2)
        assert "no longer says what was written when it was opened: description" in (
            follower.gate.words
        )
        assert trail().count(("change.doubted", "ALTERED")) == 1

    def test_shuts_where_the_correlation_id_was_altered(self, follower, instance):
        follower.let_pass()
        instance.write("change_request", follower.sys_id, correlation_id="theirs")
        follower.look(2)
        assert "correlation_id" in follower.gate.words
        assert len(instance.changes()) == 1  # no second one is made

    @pytest.mark.parametrize("lie", ["ignored", "silent"])
    def test_never_opens_where_fields_were_dropped_at_its_opening(self, lie, follower, instance):
        instance.tell(lie)
        follower.look(3)
        assert state_of(instance) == [("-5", "not requested", "")]  # approval is not asked for
        assert "description" in follower.gate.words
        opened = AuditEvent.objects.get(action="change.opened")
        assert opened.data["ignored"] == (["description"] if lie == "ignored" else [])

    def test_takes_what_a_template_fills(self, follower, instance, settings):
        settings.SERVICENOW_IGNORED_FIELDS = frozenset({"description"})
        instance.tell("ignored")
        follower.let_pass()

    def test_says_that_it_was_closed_there(self, follower, instance):
        follower.let_pass()
        instance.write("change_request", follower.sys_id, state="4")
        row = follower.look(2)
        assert (row.status, row.outcome, row.next_check_at) == ("CLOSED", "", None)
        assert "was canceled in ServiceNow before the rollout" in follower.gate.words
        closed = AuditEvent.objects.get(action="change.closed")
        assert closed.data["outcome"] == "closed by somebody in ServiceNow"
        assert [who for who, title in told() if "closed by somebody" in title] == ["alice"]

    def test_says_that_it_is_gone_and_makes_no_other(self, follower, instance):
        follower.let_pass()
        instance.store.delete("change_request", follower.sys_id)
        row = follower.look(2)
        assert row.reason == "GONE"
        assert "no longer shows" in follower.gate.words
        assert instance.changes() == []

    @pytest.mark.parametrize(("lie", "words"), [("away", "busy or broken"), ("busy", "busy")])
    def test_shuts_while_servicenow_is_away_and_says_since_when(
        self, lie, words, follower, instance, monkeypatch
    ):
        monkeypatch.setattr("apps.integrations.http.time.sleep", lambda _: None)
        follower.let_pass()
        instance.tell(lie, calls=9)
        row = follower.look()
        assert row.reason == "AWAY"
        assert words in follower.gate.words and "was last read at" in follower.gate.words
        instance.tell(lie, calls=0)
        follower.look()
        assert follower.gate.is_open_for_start

    def test_asks_again_when_servicenow_wants_it(self, follower, instance):
        follower.look(2)
        instance.tell("busy")
        at = follower.now
        assert follower.look().next_check_at == at + timedelta(seconds=17)

    def test_shuts_where_nobody_looks_any_more(self, follower):
        follower.let_pass()
        follower.now += timedelta(hours=1)
        assert "was last read at" in follower.gate.words


class TestWhoDecidedThere:
    def test_is_read_once_with_each_decision(self, follower, carol, client):
        follower.let_pass()
        row = follower.look(3)
        # of one second, so in either order
        people = sorted((one["name"], one["decision"]) for one in row.approvers["people"])
        assert people == [("Dana Reyes", "approved"), ("Ilya Brandt", "approved")]
        assert all(one["at"] for one in row.approvers["people"])
        seen = AuditEvent.objects.filter(action="change.seen", data__after__has_key="by")
        assert [event.data["after"]["by"] for event in seen] == [row.approvers["people"]]
        client.force_login(carol)
        page = client.get(f"/promotions/{follower.promotion.pk}/").content.decode()
        assert "Dana Reyes, approved" in page and "Ilya Brandt, approved" in page
        (kept,) = document(follower.promotion, {})["changes"]
        assert (kept["number"], kept["approvers"]) == (row.number, row.approvers)

    def test_holds_up_nothing_where_it_cannot_be_seen(self, follower, monkeypatch):
        monkeypatch.delitem(tables.FIELDS, "sysapproval_approver")
        follower.let_pass()
        calls = follower.instance.line.calls.count(("GET", "/api/now/table/sysapproval_approver"))
        row = follower.look(3)
        assert (row.reason, row.approvers["people"]) == ("", [])
        assert row.approvers["problem"].startswith("ServiceNow does not tell us who")
        again = follower.instance.line.calls.count(("GET", "/api/now/table/sysapproval_approver"))
        assert calls == again

    def test_names_who_rejected(self, follower, instance):
        follower.look(3)
        instance.reject(follower.sys_id)
        row = follower.look(2)
        assert row.approvers["of"] == "rejected"
        assert [one["decision"] for one in row.approvers["people"]] == ["rejected"]


class TestAskForMissing:
    """Where ServiceNow is configured only later."""

    def emergency(self, promotion, engineer, now=NOW):
        return declare_emergency(
            promotion=promotion,
            engineer=engineer,
            statement="Claims are answered wrongly.",
            now=now,
        )

    @pytest.fixture
    def declared(self, registered_model, alice, settings):
        """An emergency that was declared while there was no ServiceNow."""
        settings.SERVICENOW_URL = ""
        version = make.version(registered_model, 1)
        make.run(version)
        promotion = promotions.request_promotion(
            version=version, requester=alice, justification="Better.", now=NOW
        )
        pete = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        said = "Claims are answered wrongly."
        return declare_emergency(promotion=promotion, engineer=pete, statement=said, now=NOW)

    def test_asks_for_the_change_of_an_emergency_that_goes_on(self, declared, tmp_path, settings):
        assert reconcile.ask_for_missing(NOW) == [] and not ChangeRecord.objects.exists()
        settings.SERVICENOW_URL = ADDRESS
        (asked,) = reconcile.ask_for_missing(NOW)
        assert (asked.kind, asked.promotion) == ("EMERGENCY", declared.promotion)
        assert "Emergency: Claims are answered wrongly." in asked.fields["description"]
        assert reconcile.ask_for_missing(NOW) == []
        instance = Instance(tmp_path)
        reconcile.reconcile_change(row=asked, servicenow=instance.client(), now=NOW)
        (opened,) = instance.changes()
        assert opened["type"] == "emergency"

    def test_drives_an_emergency_change_to_the_end_of_its_rollout(
        self, declared, tmp_path, settings
    ):
        settings.SERVICENOW_URL = ADDRESS
        (row,), instance = reconcile.ask_for_missing(NOW), Instance(tmp_path)
        servicenow, now = instance.client(), NOW
        (rollout,) = declared.promotion.rollouts.all()

        def look(times):
            nonlocal now
            for _ in range(times):
                now += MINUTE
                ChangeRecord.objects.exclude(status="CLOSED").update(next_check_at=now)
                found = ChangeRecord.objects.get(pk=row.pk)
                reconcile.reconcile_change(row=found, servicenow=servicenow, now=now)
            return ChangeRecord.objects.get(pk=row.pk)

        assert look(3).state_words == "Authorize"  # people there decide; the rollout goes on
        instance.approve(instance.changes()[0]["sys_id"])
        found = look(3)
        assert (found.state_words, found.approvers["of"]) == ("Implement", "approved")
        Rollout.objects.filter(pk=rollout.pk).update(status="LIVE", finished_at=now)
        now += timedelta(seconds=settings.ROLLOUT_RETIRE_AFTER_SECONDS)
        found = look(4)
        assert (found.status, found.outcome) == ("CLOSED", "SUCCESSFUL")
        assert state_of(instance) == [("3", "approved", "successful")]
        trouble = AuditEvent.objects.filter(target_id=str(row.pk), action="change.doubted")
        assert not trouble.exists()

    def test_asks_for_none_of_an_emergency_that_is_over(self, declared, settings):
        settings.SERVICENOW_URL = ADDRESS
        Rollout.objects.filter(promotion=declared.promotion).update(status="ABORTED")
        assert reconcile.ask_for_missing(NOW) == []


class TestStart:
    """What was approved here starts when ServiceNow's people let it, and not before."""

    @pytest.fixture
    def promotion(self, registered_model, alice, instance):
        version = make.version(registered_model, 1)
        make.run(version)
        return promotions.request_promotion(
            version=version, requester=alice, justification="Better.", now=NOW
        )

    def approve(self, follower, carol):
        promotion = Promotion.objects.get(pk=follower.promotion.pk)
        return promotions.approve_promotion(
            promotion=promotion, approver=carol, seen=seen(promotion, follower.now),
            reason="Good figures.", now=follower.now,
        )  # fmt: skip

    def sweep(self, follower):
        promotion = Promotion.objects.get(pk=follower.promotion.pk)
        return begin.start_if_free(promotion=promotion, actor=begin.WORKER, now=follower.now)

    def test_waits_for_the_approval_there(self, follower, instance, carol):
        follower.look(2)
        assert self.approve(follower, carol) is None
        assert self.sweep(follower) is None
        instance.approve(follower.sys_id)
        assert self.sweep(follower) is None  # nobody has read it yet
        follower.look(3)
        rollout = self.sweep(follower)
        assert rollout is not None
        assert Approval.objects.filter(promotion=follower.promotion).count() == 1  # ours alone
        follower.look(2)
        assert state_of(instance)[0][0] == "-1"

    def test_starts_with_the_approval_where_the_change_is_open(self, follower, carol):
        follower.let_pass()
        assert self.approve(follower, carol) is not None

    def test_waits_while_servicenow_is_away(self, follower, instance, carol, monkeypatch):
        monkeypatch.setattr("apps.integrations.http.time.sleep", lambda _: None)
        follower.let_pass()
        instance.tell("away", calls=9)
        follower.look()
        assert self.approve(follower, carol) is None
        (wait,) = begin.waits_for(Promotion.objects.get(pk=follower.promotion.pk), follower.now)
        assert "was last read at" in wait.words

    def test_a_failed_rollout_is_not_taken_up_again_outside_the_window(
        self, follower, instance, carol, alice
    ):
        follower.let_pass()
        rollout = self.approve(follower, carol)
        follower.look(2)
        Rollout.objects.filter(pk=rollout.pk).update(status="FAILED", finished_at=follower.now)
        follower.now = NOW + timedelta(hours=3)
        follower.look(3)
        again = {"rollout": rollout, "actor": alice, "now": follower.now}
        with pytest.raises(begin.WrongRolloutState, match="The window of CHG"):
            steering.retry_rollout(**again)
        later = utc_text(follower.now + timedelta(hours=1))
        instance.write("change_request", follower.sys_id, end_date=later)
        follower.look(3)
        assert steering.retry_rollout(**again | {"now": follower.now}).status == "PROGRESSING"


class TestEnd:
    @pytest.fixture
    def rollout(self, follower, promotion, carol):
        """The rollout of the promotion, as an approval starts it."""
        follower.let_pass()
        return start(promotion, carol, follower.now)

    def test_is_carried_out_then_closed_as_successful(self, rollout, follower, instance, settings):
        follower.look(2)
        assert state_of(instance)[0][0] == "-1"
        end(rollout, "LIVE", follower.now)
        follower.look(2)
        assert state_of(instance)[0][0] == "-1"  # it may still go back
        follower.now += timedelta(seconds=settings.ROLLOUT_RETIRE_AFTER_SECONDS)
        row = follower.look(4)
        assert state_of(instance) == [("3", "approved", "successful")]
        assert (row.status, row.outcome) == ("CLOSED", "SUCCESSFUL")
        assert instance.changes()[0]["close_notes"] == "The version serves all callers."
        assert [action for action, _ in trail()][-4:] == [
            "change.moved",
            "change.moved",
            "change.moved",
            "change.closed",
        ]

    def test_is_closed_as_unsuccessful_where_the_rollout_was_aborted(
        self, rollout, follower, instance
    ):
        follower.look(2)
        end(rollout, "ABORTED", follower.now)
        assert follower.look(4).outcome == "UNSUCCESSFUL"
        assert state_of(instance)[0][2] == "unsuccessful"

    def test_is_not_closed_while_callers_may_still_go_back(
        self, rollout, follower, instance, carol, settings
    ):
        follower.look(2)
        end(rollout, "LIVE", follower.now)
        back = roll_back(rollout, follower.now)
        follower.now += timedelta(seconds=settings.ROLLOUT_RETIRE_AFTER_SECONDS)
        follower.look(4)
        assert state_of(instance)[0][0] == "-1"  # nobody knows yet how it ends
        end(back, "ABORTED", follower.now)
        assert follower.look(4).outcome == "SUCCESSFUL"

    def test_is_closed_as_unsuccessful_once_callers_went_back(
        self, rollout, follower, instance, settings
    ):
        follower.look(2)
        end(rollout, "LIVE", follower.now)
        back = roll_back(rollout, follower.now)
        end(rollout, "REPLACED", follower.now)
        end(back, "LIVE", follower.now)
        row = follower.look(4)
        assert (row.outcome, state_of(instance)[0][2]) == ("UNSUCCESSFUL", "unsuccessful")

    def test_knows_its_own_end_where_the_answer_was_lost(self, rollout, follower, instance):
        follower.look(2)
        end(rollout, "ABORTED", follower.now)
        follower.look()  # to review
        instance.tell("held")
        assert follower.look().reason == "AWAY"
        row = follower.look()
        assert (row.status, row.outcome) == ("CLOSED", "UNSUCCESSFUL")

    def test_does_not_believe_a_step_that_was_not_taken(self, rollout, follower, instance):
        instance.tell("confirmed")
        row = follower.look()
        assert row.reason == "UNTRUE"
        assert "is still in Scheduled" in row.message
        assert follower.look().state_words == "Implement"

    def test_is_canceled_where_the_proposal_is_withdrawn(
        self, follower, instance, promotion, alice
    ):
        follower.let_pass()
        promotions.withdraw_promotion(promotion=promotion, actor=alice, now=follower.now)
        row = follower.look(2)
        assert (row.status, row.outcome) == ("CLOSED", "CANCELED")
        assert state_of(instance)[0][0] == "4"

    def test_says_where_servicenow_does_not_let_it_end(self, follower, instance, promotion, alice):
        follower.let_pass()
        promotions.withdraw_promotion(promotion=promotion, actor=alice, now=follower.now)
        instance.write("change_request", follower.sys_id, state="0")
        row = follower.look(2)
        assert row.reason == "NOT_OFFERED"
        assert "is to be canceled, and ServiceNow does not offer that from Review" in row.message
        follower.look(3)
        assert trail().count(("change.doubted", "NOT_OFFERED")) == 1

    def test_an_emergency_has_its_own_and_cancels_the_normal_one(
        self, follower, instance, promotion, carol
    ):
        follower.look(2)
        emergency = ask_for_change(
            promotion=promotion, actor=carol, now=NOW, kind="EMERGENCY", statement="No answers."
        )
        follower.look(2)
        reconcile.reconcile_change(row=emergency, servicenow=follower.servicenow, now=follower.now)
        normal, urgent = instance.changes()
        assert (normal["state"], urgent["type"], urgent["state"]) == ("4", "emergency", "-3")
        assert "Emergency: No answers." in urgent["description"]
        emergency.refresh_from_db()
        assert (emergency.status, emergency.state_words) == ("OPEN", "Authorize")


def start(promotion, carol, now):
    """Approve by another person and start, as the rows have it afterwards."""
    Approval.objects.create(
        promotion=promotion, approver=carol, requested_by=promotion.requested_by,
        decision="APPROVE", reason="Good.", decided_at=now,
        manifest_digest=promotion.manifest_digest, eval_run=promotion.eval_run,
    )  # fmt: skip
    Promotion.objects.filter(pk=promotion.pk).update(status="APPROVED", decided_at=now)
    return Rollout.objects.create(
        promotion=promotion, registered_model=promotion.registered_model,
        model_version=promotion.model_version, status="PROGRESSING", started_at=now, moved_at=now,
    )  # fmt: skip


def roll_back(rollout, now):
    """Begin to go back from a live rollout."""
    return Rollout.objects.create(
        promotion=rollout.promotion, registered_model=rollout.registered_model, started_at=now,
        model_version=rollout.model_version, rolls_back=rollout, moved_at=now,
    )  # fmt: skip


def end(rollout, status, now):
    """End a rollout as its own reconciler does."""
    Rollout.objects.filter(pk=rollout.pk).update(status=status, finished_at=now)
