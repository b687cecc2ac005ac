"""Sessions that have ended leave the table."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session

from apps.accounts import sessions
from tests.factories import NOW
from worker.celery import app
from worker.schedule import SCHEDULE

pytestmark = pytest.mark.django_db


class TestClearEnded:
    def test_removes_only_sessions_that_have_ended(self):
        Session.objects.create(session_key="ended", session_data="", expire_date=NOW)
        Session.objects.create(
            session_key="running", session_data="", expire_date=NOW + timedelta(seconds=1)
        )
        assert sessions.clear_ended(now=NOW) == 1
        assert list(Session.objects.values_list("session_key", flat=True)) == ["running"]


def test_every_periodic_task_is_one_that_the_worker_knows():
    app.loader.import_default_modules()
    assert {line["task"] for line in SCHEDULE.values()} <= set(app.tasks)
