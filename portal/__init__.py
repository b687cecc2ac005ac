"""The Django project: settings, URLs, entry point. Loads the Celery application so that tasks can
be sent.
"""

from worker.celery import app as celery_app

__all__ = ["celery_app"]
