"""The long-lived process that follows the cluster. Each term begins anew, with lists."""

from apps.fleet.observer import Observer
from apps.integrations.kubernetes.connection import connection_from_settings
from worker.processes.leader import Lock, lead


def follow() -> None:
    """Follow the cluster for one term: until the database is away."""
    observer = Observer(connection_from_settings)
    try:
        observer.start()
        while True:
            observer.step()
    finally:
        observer.stop()


def run_from_settings() -> None:
    """Follow the cluster that KUBECONFIG names, or the one this pod runs in."""
    lead(Lock.OBSERVER, follow)
