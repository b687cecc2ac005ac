"""Tasks are sent by name, which nothing checks: a worker must know every name that is sent or
scheduled.
"""

import re
from importlib import import_module
from pathlib import Path

from django.conf import settings

from worker.celery import TASKS, app
from worker.schedule import SCHEDULE

ROOT = Path(__file__).resolve().parents[2]
# take a lease, or end by themselves before the broker hands them out again
LONG = {
    "oversight.make_evidence",
    "metering.archive_days",
    "metering.find_doubles",
    "metering.search_archive",
    "chargeback.read_bills",
}
SENT = re.compile(r'enqueue_on_commit\(\s*"([a-z_.]+)"')


def known() -> set[str]:
    for name in TASKS:
        import_module(f"worker.tasks.{name}")
    return set(app.tasks)


def test_a_worker_knows_every_task_that_is_sent():
    sources = [*ROOT.glob("apps/**/*.py"), *ROOT.glob("worker/**/*.py")]
    sent = {name for path in sources for name in SENT.findall(path.read_text())}
    assert "capacity.reconcile_capacity_request" in sent
    assert sent <= known()


def test_a_worker_knows_every_task_that_is_scheduled():
    assert {entry["task"] for entry in SCHEDULE.values()} <= known()


def test_every_module_of_tasks_is_loaded():
    assert {path.stem for path in (ROOT / "worker" / "tasks").glob("[a-z]*.py")} == set(TASKS)


def test_no_long_task_is_handed_to_a_second_worker():
    patience = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    known()
    long = {
        name
        for name, task in app.tasks.items()
        if task.acks_late and (task.time_limit or settings.CELERY_TASK_TIME_LIMIT) > patience
    }
    assert long == LONG
