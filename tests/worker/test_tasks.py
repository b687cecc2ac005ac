"""Tasks are sent by name, which nothing checks: a worker must know every name that is sent or
scheduled.
"""

import re
from importlib import import_module
from pathlib import Path

from django.conf import settings

from apps.common.clocks import CLOCKS_APART
from apps.common.tasks import HINT_SECONDS
from worker.celery import TASKS, Sweep, app
from worker.schedule import PERIODIC, SCHEDULE

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


def test_every_message_expires_but_not_before_clocks_agree():
    known()
    ours = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    assert {task.expires for task in ours.values()} == {HINT_SECONDS}
    lasting = {name: entry["options"]["expires"] for name, entry in SCHEDULE.items()}
    assert min(lasting.values()) == HINT_SECONDS > CLOCKS_APART.total_seconds()
    assert max(lasting.values()) == 3600
    for name, entry in PERIODIC.items():
        if isinstance(entry["schedule"], float):
            assert lasting[name] == max(entry["schedule"], HINT_SECONDS)


def test_what_starts_tasks_for_due_rows_is_done_once_of_many():
    known()
    sweeps = {name for name, task in app.tasks.items() if isinstance(task, Sweep)}
    assert sweeps == {
        "capacity.reconcile_due_capacity_requests",
        "catalog.work_out_due_figures",
        "chargeback.estimate_effects",
        "evals.reconcile_due_eval_runs",
        "gateway.reconcile_due_policies",
        "incidents.reconcile_due_episodes",
        "notices.send_due",
        "notices.tell_people",
        "oversight.make_due_evidence",
        "promotions.reconcile_due_changes",
        "promotions.reconcile_due_rollouts",
    }
    scheduled = {entry["task"]: entry["schedule"] for entry in SCHEDULE.values()}
    assert all(scheduled[name] > Sweep.pause for name in sweeps)
    sources = [*ROOT.glob("apps/**/*.py"), *ROOT.glob("worker/**/*.py")]
    assert sweeps.isdisjoint(name for path in sources for name in SENT.findall(path.read_text()))


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
