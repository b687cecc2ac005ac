"""Enqueueing is a hint: a dead broker never fails a write."""

import pytest

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
