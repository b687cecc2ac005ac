"""Celery tasks of apps.promotions: load, one call, nothing else."""
