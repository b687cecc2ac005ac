"""A budget that burns: one incident a model, people who are paged, and rollouts that are held."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.audit.models import AuditEvent
from apps.catalog.people import menders_of
from apps.incidents import telling
from apps.incidents.models import Episode
from apps.incidents.reconcile import _fields
from apps.incidents.saturated import WORDS
from apps.incidents.watch import watch_rollouts
from apps.notices.models import Notice
from apps.promotions.holding.actions import lift_hold
from apps.promotions.holding.models import RolloutHold
from apps.slo.burn import Health, Kind
from apps.slo.models import Standing
from portal.needs.queries import needs_of
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.incidents.saturation import gpu, minutes, replica
from tests.promotions import factories as make
from tests.slo.samples import AVAILABLE, FAST, objective

pytestmark = pytest.mark.django_db
QUIET = timedelta(seconds=601)


@pytest.fixture
def engineer(db):
    return UserFactory(with_roles=[Role.PLATFORM_ENGINEER])


@pytest.fixture
def live(registered_model):
    return make.live(registered_model, 1)


@pytest.fixture
def other(alice):
    model = RegisteredModelFactory(name="clinical-summary", owner_team=alice.team)
    make.live(model, 4)
    return model


def stands(of, health, now=NOW):
    """Let an objective stand so, as far as the last look found."""
    values = {
        "since": NOW - timedelta(days=28), "until": now, "good": 90, "bad": 10, "unknown": 0,
        "budget_left": -9.0, "health": health, "health_since": NOW,
    }  # fmt: skip
    Standing.objects.update_or_create(objective=of, defaults=values)


def holding(model, owner, **more):
    """Set an objective that holds rollouts while its budget burns fast."""
    return objective(model, owner, terms=replace(AVAILABLE, holds_rollouts=True), **more)


class TestWatch:
    def test_opens_one_incident_for_all_that_burns_of_a_model(self, live, other, alice):
        model = live.registered_model
        for each in (objective(model, alice), objective(model, alice, Kind.TTFT, terms=FAST)):
            stands(each, Health.PAGE)
        stands(objective(other, alice), Health.HEALTHY)
        watch_rollouts(NOW)
        watch_rollouts(NOW)
        episode = Episode.objects.get()
        assert (episode.kind, episode.registered_model, episode.is_page) == ("BURN", model, True)
        assert episode.model_version == live.model_version
        assert "99 % of calls answered" in episode.words
        assert "95 % of first tokens within 800 ms" in episode.words
        event = AuditEvent.objects.get(action="incident.began")
        assert event.data["paged"] is True

    def test_is_over_once_it_has_burned_no_more_for_a_while(self, live, alice):
        burns = objective(live.registered_model, alice)
        stands(burns, Health.TICKET)
        watch_rollouts(NOW)
        stands(burns, Health.SPENT)
        watch_rollouts(NOW)
        assert Episode.objects.get().status == "OPEN"
        watch_rollouts(NOW + QUIET)
        over = Episode.objects.get()
        assert over.status == "CLOSED"
        assert over.notes.last().words == "Its error budget burns no faster than it may any more."
        stands(burns, Health.TICKET, NOW + QUIET)
        watch_rollouts(NOW + QUIET)
        assert Episode.objects.count() == 2

    def test_comes_to_page_people_and_stays_so(self, live, alice):
        burns = objective(live.registered_model, alice)
        stands(burns, Health.TICKET)
        watch_rollouts(NOW)
        assert not Episode.objects.get().is_page
        stands(burns, Health.PAGE)
        watch_rollouts(NOW)
        episode = Episode.objects.get()
        assert episode.is_page
        assert "burns fast" in episode.notes.get().words
        stands(burns, Health.TICKET)
        watch_rollouts(NOW + timedelta(minutes=2))
        assert Episode.objects.get().is_page

    def test_begins_nothing_by_figures_that_are_out_of_date(self, live, alice):
        stands(objective(live.registered_model, alice), Health.PAGE, NOW - timedelta(minutes=11))
        watch_rollouts(NOW)
        assert not Episode.objects.exists()

    def test_goes_on_when_another_version_serves(self, live, alice):
        stands(objective(live.registered_model, alice), Health.PAGE)
        watch_rollouts(NOW)
        type(live).objects.filter(pk=live.pk).update(status="REPLACED")
        make.live(live.registered_model, 2)
        watch_rollouts(NOW)
        assert Episode.objects.get().model_version == live.model_version

    def test_tells_servicenow_how_urgent_it_is(self, live, alice):
        burns = objective(live.registered_model, alice)
        stands(burns, Health.TICKET)
        watch_rollouts(NOW)
        assert _fields(Episode.objects.get())["urgency"] == "2"
        stands(burns, Health.PAGE)
        watch_rollouts(NOW)
        fields = _fields(Episode.objects.get())
        assert fields["urgency"] == "1"
        assert fields["short_description"].endswith("uses up its error budget too fast")

    def test_database_takes_no_second_one_and_none_without_its_model(self, live, alice):
        stands(objective(live.registered_model, alice), Health.PAGE)
        watch_rollouts(NOW)
        episode = Episode.objects.get()
        episode.pk, episode.correlation_id = None, "another"
        with pytest.raises(IntegrityError, match="one_open_of_a_model"), transaction.atomic():
            episode.save(force_insert=True)
        episode.registered_model = None
        with pytest.raises(IntegrityError, match="where_its_budget_burns"), transaction.atomic():
            episode.save(force_insert=True)


class TestHold:
    def test_holds_rollouts_of_the_model_until_it_is_over(self, live, other, alice):
        burns = holding(live.registered_model, alice)
        stands(burns, Health.PAGE)
        watch_rollouts(NOW)
        watch_rollouts(NOW)
        hold = RolloutHold.objects.get()
        assert list(RolloutHold.objects.of(live.registered_model)) == [hold]
        assert not RolloutHold.objects.of(other).exists()
        assert hold.cause == Episode.objects.get().correlation_id
        stands(burns, Health.HEALTHY)
        watch_rollouts(NOW)
        assert RolloutHold.objects.open().exists()
        watch_rollouts(NOW + QUIET)
        assert not RolloutHold.objects.open().exists()

    @pytest.mark.parametrize(("holds", "health"), [(False, Health.PAGE), (True, Health.TICKET)])
    def test_holds_nothing_where_it_is_not_to(self, live, alice, holds, health):
        make_one = holding if holds else objective
        stands(make_one(live.registered_model, alice), health)
        watch_rollouts(NOW)
        assert Episode.objects.exists()
        assert not RolloutHold.objects.exists()

    def test_does_not_hold_again_what_somebody_lifted(self, live, alice, engineer):
        stands(holding(live.registered_model, alice), Health.PAGE)
        watch_rollouts(NOW)
        lift_hold(hold=RolloutHold.objects.get(), actor=engineer, reason="The fix.", now=NOW)
        watch_rollouts(NOW)
        assert not RolloutHold.objects.open().exists()


class TestTelling:
    def test_pages_those_who_mend_the_model_once(self, live, other, alice, engineer, charlie):
        stranger = UserFactory(with_roles=[Role.MODEL_OWNER])
        burns = objective(live.registered_model, alice)
        stands(burns, Health.PAGE)
        watch_rollouts(NOW)
        told = telling.tell(now=NOW)
        people = set(Notice.objects.values_list("user__username", flat=True))
        assert people == {one.username for one in menders_of(live.registered_model)}
        assert {alice.username, engineer.username} <= people
        assert told == len(people)
        assert not people & {stranger.username, charlie.username}
        assert set(Notice.objects.values_list("is_urgent", flat=True)) == {True}
        assert telling.tell(now=NOW) == 0

    def test_tells_again_where_it_comes_to_page_people(self, live, alice):
        burns = objective(live.registered_model, alice)
        stands(burns, Health.TICKET)
        watch_rollouts(NOW)
        telling.tell(now=NOW)
        stands(burns, Health.PAGE)
        watch_rollouts(NOW)
        assert telling.tell(now=NOW) > 0
        titles = set(Notice.objects.values_list("title", flat=True))
        name = live.registered_model.name
        assert titles == {
            f"The error budget of {name} burns", f"The error budget of {name} burns fast",
        }  # fmt: skip

    def test_needs_those_who_mend_it(self, live, other, alice, charlie):
        stands(objective(live.registered_model, alice), Health.PAGE)
        stands(objective(other, alice), Health.HEALTHY)
        watch_rollouts(NOW)
        (need,) = [one for one in needs_of(alice, NOW) if "budget" in one.title]
        assert (need.title, need.tone) == (
            "The error budget of prior-auth-extract burns fast",
            "bad",
        )
        assert not [one for one in needs_of(charlie, NOW) if "error budget" in one.title]


class TestSaturated:
    @pytest.fixture
    def measured(self, live, other):
        """Store minutes of a version's two replicas, and of another's that has room."""
        two = [replica(live.model_version.name) for _ in range(2)]
        idle = replica(f"{other.name}-v4")
        minutes(idle, waiting=0.0, kv_use=0.2)
        return two, minutes, gpu

    def test_opens_one_where_callers_wait_and_the_cache_is_full(self, live, measured):
        two, minutes, _ = measured
        for each in two:
            minutes(each, waiting=3.0, kv_use=0.97)
        watch_rollouts(NOW)
        watch_rollouts(NOW)
        episode = Episode.objects.get()
        assert (episode.kind, episode.model_version) == ("SATURATED", live.model_version)
        assert (episode.words, episode.is_page) == (WORDS, False)

    def test_opens_one_where_the_gpus_are_busy_all_the_time(self, live, measured):
        two, minutes, gpu = measured
        for each in two:
            minutes(each, waiting=3.0, kv_use=0.5)
            gpu(each, active=0.98)
        watch_rollouts(NOW)
        assert Episode.objects.get().kind == "SATURATED"

    def test_opens_none_where_a_replica_or_a_minute_has_room(self, measured):
        two, minutes, gpu = measured
        minutes(two[0], waiting=3.0, kv_use=0.97)
        minutes(two[1], waiting=0.0, kv_use=0.97)
        watch_rollouts(NOW)
        assert not Episode.objects.exists()

    def test_opens_none_where_the_gpus_had_room(self, measured):
        two, minutes, gpu = measured
        for each in two:
            minutes(each, waiting=3.0, kv_use=0.5)
            gpu(each, active=0.6)
        watch_rollouts(NOW)
        assert not Episode.objects.exists()

    def test_says_nothing_by_a_few_minutes_or_unmeasured_ones(self, measured):
        two, minutes, _ = measured
        for each in two:
            minutes(each, waiting=3.0, kv_use=0.97, count=9)
            minutes(each, waiting=None, kv_use=None, first=10, count=4)
        watch_rollouts(NOW)
        assert not Episode.objects.exists()

    def test_is_over_once_there_has_been_room_for_a_while(self, measured):
        two, minutes, _ = measured
        for each in two:
            minutes(each, waiting=3.0, kv_use=0.97)
        watch_rollouts(NOW)
        watch_rollouts(NOW + timedelta(minutes=16))
        watch_rollouts(NOW + timedelta(minutes=27))
        assert Episode.objects.get().status == "CLOSED"
