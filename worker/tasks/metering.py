"""Celery tasks of apps.metering: load, one call, nothing else."""
