"""Incidents of what the guard blocked: one for each model, until it has blocked no more."""

from datetime import timedelta
from uuid import UUID

import pytest

from apps.incidents.blocked import LASTS
from apps.incidents.models import Episode
from apps.incidents.reconcile import WHAT
from apps.incidents.watch import NOTE_PAUSE, watch_rollouts
from tests.factories import NOW, RegisteredModelFactory
from tests.gateway.guard.guardrails import a_hit
from tests.promotions import factories as make

pytestmark = pytest.mark.django_db
MODEL, OTHER = "prior-auth-extract", "clinical-summary"
QUIET = timedelta(minutes=10)


@pytest.fixture
def live(registered_model):
    """Two models that serve."""
    make.live(RegisteredModelFactory(name=OTHER), 1)
    return make.live(registered_model, 1)


def leak(**changes):
    facts = {"phase": "answer", "rule": "member-data-leak", "provider": "MemberData",
             "detector": "US_SSN", "model": OTHER}  # fmt: skip
    return a_hit(**{**facts, **changes})


def opened():
    rows = Episode.objects.open().order_by("model_version__registered_model__name")
    return [(row.kind, row.model_version.registered_model.name, row.words) for row in rows]


class TestWatch:
    def test_opens_one_for_each_model_and_says_which_rule_but_not_whose_calls(self, live):
        for number, detector in ((1, "OVERRIDE"), (1, "REVEAL"), (2, "OVERRIDE")):
            a_hit(model=MODEL, call=UUID(int=number), detector=f"INJECTION_{detector}")
        leak()
        watch_rollouts(NOW)
        watch_rollouts(NOW)
        assert opened() == [
            ("GUARD", OTHER, "The guard's rule member-data-leak stopped the answers of 1 call."),
            ("GUARD", MODEL, "The guard's rule injected-instructions refused 2 calls with injected "
                             "instructions."),
        ]  # fmt: skip
        assert "claims-review" not in str(opened())

    @pytest.mark.parametrize(
        "changes",
        [
            {"does": "monitor"},
            {"detector": "NOT_INSPECTED"},
            {"at": NOW - LASTS},
            {"provider": "MemberData", "rule": "member-data-without-approval"},
            {"model": "unserved"},
        ],
    )
    def test_opens_none_for_less(self, live, changes):
        a_hit(**{"model": MODEL, **changes})
        watch_rollouts(NOW)
        assert opened() == []

    def test_notes_what_follows_and_ends_when_nothing_more_is_blocked(self, live, settings):
        settings.INCIDENT_QUIET_SECONDS = QUIET.total_seconds()
        a_hit(model=MODEL)
        watch_rollouts(NOW)
        a_hit(model=MODEL, at=NOW + NOTE_PAUSE)
        watch_rollouts(NOW + NOTE_PAUSE)
        (episode,) = Episode.objects.all()
        assert "refused 2 calls" in episode.notes.get().words
        silent = NOW + NOTE_PAUSE + LASTS
        watch_rollouts(silent)
        watch_rollouts(silent + QUIET / 2)
        assert Episode.objects.get().status == "OPEN"
        watch_rollouts(silent + QUIET)
        episode.refresh_from_db()
        assert episode.status == "CLOSED"
        assert episode.notes.last().words == "The guard has blocked no more of its calls."


def test_servicenow_is_told_of_each_kind():
    assert set(WHAT) == set(Episode.Kind)
