"""The registry as the settings describe it: for views, API and commands the bucket, for its own
process all that it does.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Case, Value, When
from django.utils.timezone import now as clock

from apps.catalog import reconcile
from apps.catalog.models import ModelVersion
from apps.catalog.uploads import Registry
from apps.common.signing import FileSigner, Signer
from apps.integrations.s3.client import client_from_settings

log = logging.getLogger(__name__)
Now = Callable[[], datetime]
MOVING_FIRST = Case(When(status__in=ModelVersion.MOVING, then=Value(0)), default=Value(1))


def registry_from_settings() -> Registry:
    """Return the configured bucket and how long its objects are locked."""
    return Registry(client_from_settings(), timedelta(days=settings.REGISTRY_RETENTION_DAYS))


@dataclass(frozen=True)
class Keeper:
    """Does what is due, one thing a turn: first what somebody waits for."""

    registry: Registry
    signer: Callable[[], Signer]
    now: Now = clock

    def turn(self) -> bool:
        """Do the next thing that is due. False where nothing was."""
        due = ModelVersion.objects.filter(next_check_at__lte=self.now())
        version = due.select_related("registered_model").order_by(MOVING_FIRST, "pk").first()
        if version is None:
            return False
        reconcile.reconcile_version(
            version=version,
            store=self.registry.store,
            signer=self.signer,
            keys=lambda: [self.signer().public_key],
            now=self.now(),
        )
        return True


def keeper_from_settings() -> Keeper:
    """Return the keeper of this deployment's registry."""
    return Keeper(registry_from_settings(), lambda: FileSigner.load(settings.SIGNING_KEY_FILE))
