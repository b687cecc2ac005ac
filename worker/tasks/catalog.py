"""Celery tasks of apps.catalog: load, one call, nothing else."""
