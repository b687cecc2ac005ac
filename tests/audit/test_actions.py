"""One event per change: who, what, on what, when, and in which request."""

import pytest

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.common.request_ids import current_request_id
from tests.factories import NOW, RegisteredModelFactory, UserFactory

pytestmark = pytest.mark.django_db


class TestRecord:
    def test_keeps_names_as_they_were(self):
        target = RegisteredModelFactory(name="prior-auth-extract")
        actor = UserFactory(username="maya", name="Maya Okafor")
        event = record(
            action=Action.MODEL_REGISTERED, actor=actor, target=target, now=NOW, data={"a": 1}
        )
        event.refresh_from_db()
        assert (event.occurred_at, event.action, event.data) == (NOW, "model.registered", {"a": 1})
        assert (event.actor, event.actor_name) == ("maya", "Maya Okafor")
        assert (event.target_type, event.target_id, event.target_label) == (
            "RegisteredModel",
            str(target.pk),
            "prior-auth-extract",
        )
        assert event.request_id == ""

    def test_names_the_portal_where_a_task_acts_and_cuts_a_long_label(self):
        target = RegisteredModel(pk=7, name="m" * 201)
        actor = System("metering.roll_up")
        event = record(action=Action.RATE_SET, actor=actor, target=target, now=NOW)
        assert (event.actor, event.actor_name) == ("system:metering.roll_up", "Quartermaster")
        assert (event.data, event.target_id, event.target_label) == ({}, "7", "m" * 200)

    def test_names_the_request_that_is_being_answered_or_the_one_it_is_told(self):
        facts = {"action": Action.RATE_SET, "actor": System("x"), "target": UserFactory()}
        token = current_request_id.set("of-the-page")
        try:
            assert record(now=NOW, **facts).request_id == "of-the-page"
            assert record(now=NOW, request_id="of-the-call", **facts).request_id == "of-the-call"
        finally:
            current_request_id.reset(token)
