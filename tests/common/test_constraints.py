"""The database's own guards, tried directly."""

import pytest
from django.db import IntegrityError, transaction

from apps.audit.actions import System, record
from apps.audit.models import Action, AuditEvent
from tests.factories import NOW


@pytest.mark.django_db
class TestAuditEvent:
    def test_cannot_be_changed_or_deleted(self, registered_model):
        event = record(action=Action.MODEL_REGISTERED, actor=System("tests"), target=registered_model, now=NOW)
        for change in (lambda: AuditEvent.objects.update(actor="mallory"), lambda: event.delete()):
            with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
                change()
