"""Celery tasks of apps.gateway: load, one call, nothing else."""
