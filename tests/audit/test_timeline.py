"""An object's timeline."""

from datetime import timedelta

import pytest

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.audit.timeline import timeline, timeline_of
from tests.factories import NOW, TeamFactory

pytestmark = pytest.mark.django_db


class TestTimeline:
    def test_is_oldest_first_with_reasons_and_tells_people_from_the_system(
        self, alice, django_assert_num_queries
    ):
        team = TeamFactory()
        record(
            action=Action.ACCESS_REJECTED,
            actor=alice,
            target=team,
            now=NOW + timedelta(1),
            data={"reason": "No."},
        )
        record(
            action=Action.ROLLOUT_STARTED,
            actor=System("promotions.reconcile_rollout"),
            target=team,
            now=NOW,
        )
        with django_assert_num_queries(1):
            first, second = timeline("Team", team.pk)
        assert (first.machine, first.actor_name, first.tone) == (True, "Quartermaster", "busy")
        assert (second.machine, second.why, second.tone, second.label) == (
            False,
            "No.",
            "bad",
            "Access rejected",
        )

    def test_keeps_the_order_of_what_happened_at_the_same_time(self, alice):
        team = TeamFactory()
        for action in (
            Action.VERSION_ADDED,
            Action.VERSION_UPLOADED,
            Action.VERSION_PUBLISHED,
            Action.VERSION_VERIFIED,
        ):
            record(action=action, actor=alice, target=team, now=NOW)
        labels = [event.label for event in timeline("Team", team.pk)]
        assert labels == [
            "Version upload started",
            "Version uploaded",
            "Manifest signed and locked",
            "Version verified",
        ]

    def test_joins_the_events_of_several_objects(self, alice):
        one, two = TeamFactory(), TeamFactory()
        record(action=Action.GRANT_CREATED, actor=alice, target=two, now=NOW)
        record(action=Action.ACCESS_APPROVED, actor=alice, target=one, now=NOW - timedelta(1))
        labels = [event.label for event in timeline_of([("Team", one.pk), ("Team", two.pk)])]
        assert labels == ["Access approved", "Grant created"]
        assert timeline_of([]) == []
