"""Celery tasks of apps.evals: load, one call, nothing else."""
