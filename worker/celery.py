"""The Celery application. Tasks live in worker/tasks, one module per app; their times in
worker/schedule.py.
"""

import os

from celery import Celery

from worker.schedule import SCHEDULE

TASKS = (
    "audit",
    "traces",
    "accounts",
    "notices",
    "catalog",
    "evals",
    "access",
    "fleet",
    "capacity",
    "promotions",
    "metering",
    "chargeback",
    "prompts",
    "gateway",
    "incidents",
    "oversight",
)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("quartermaster")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = SCHEDULE
app.conf.imports = [f"worker.tasks.{name}" for name in TASKS]
