"""Enqueueing is a hint: a dead broker never fails a write, and never holds it up."""

import pytest
from django.db import transaction

from apps.common.tasks import enqueue_on_commit


@pytest.mark.django_db
class TestEnqueueOnCommit:
    def test_a_dead_broker_is_only_a_line_in_the_log(
        self, django_capture_on_commit_callbacks, caplog
    ):
        with django_capture_on_commit_callbacks(execute=True) as callbacks:
            enqueue_on_commit("promotions.reconcile_rollout", rollout_id="x")
        assert len(callbacks) == 1
        assert "The broker is away" in caplog.text

    def test_asks_for_the_task_once_the_write_is_there(
        self, django_capture_on_commit_callbacks, monkeypatch
    ):
        sent = []
        monkeypatch.setattr(
            "apps.common.tasks.current_app.send_task",
            lambda name, **more: sent.append((name, more)),
        )
        with django_capture_on_commit_callbacks(execute=True):
            enqueue_on_commit("gateway.publish_policy", model_id=7)
            assert sent == []
        # not tried again: the page waits for it
        more = {"kwargs": {"model_id": 7}, "retry": False, "expires": 120}
        assert sent == [("gateway.publish_policy", more)]

    def test_asks_for_nothing_where_the_write_is_taken_back(
        self, django_capture_on_commit_callbacks
    ):
        odd = pytest.raises(ValueError, match="odd")
        with django_capture_on_commit_callbacks() as callbacks, odd, transaction.atomic():
            enqueue_on_commit("gateway.publish_policy", model_id=7)
            raise ValueError("odd")
        assert callbacks == []

    def test_no_fault_of_the_broker_reaches_whoever_wrote(
        self, django_capture_on_commit_callbacks, monkeypatch, caplog
    ):
        def broken(*_, **__):
            raise RuntimeError("of a kind that nobody foresaw")

        monkeypatch.setattr("apps.common.tasks.current_app.send_task", broken)
        with django_capture_on_commit_callbacks(execute=True):
            enqueue_on_commit("gateway.publish_policy", model_id=7)
        assert "nobody foresaw" in caplog.text
