"""What becomes of a pack that a fault of ours keeps from being made."""

from datetime import date, timedelta

import pytest

from apps.accounts.models import Role
from apps.audit.models import Action
from apps.oversight.evidence import actions, reconcile
from apps.oversight.evidence.models import EvidencePack
from tests.factories import NOW, UserFactory
from tests.trail import trail

pytestmark = pytest.mark.django_db


@pytest.fixture
def pack():
    auditor = UserFactory(with_roles=[Role.AUDITOR])
    actions.ask_for_month(month=date(2026, 9, 1), actor=auditor, now=NOW)
    return actions.ask_for_month(month=date(2026, 10, 1), actor=auditor, now=NOW)


def test_is_tried_again_a_few_times_and_then_failed_in_words(pack, monkeypatch):
    monkeypatch.setattr(reconcile, "_make", lambda *_: 1 / 0)
    told, now = [], NOW
    for _ in range(reconcile.MOST_TRIES):
        pack = EvidencePack.objects.get(pk=pack.pk)
        assert reconcile.make_evidence(pack=pack, sources=None, now=now)
        pack.refresh_from_db()
        told.append((pack.status, pack.reason))
        now = (pack.next_check_at or now) + timedelta(seconds=1)
    assert told == [("WAITING", "WAITING")] * (reconcile.MOST_TRIES - 1) + [("FAILED", "FAULT")]
    assert "worker's log" in pack.message
    assert trail(pack)[-1][0] == Action.EVIDENCE_FAILED
    assert not reconcile.make_evidence(pack=pack, sources=None, now=now)
    assert EvidencePack.objects.get(month=date(2026, 9, 1)).status == "WAITING"
