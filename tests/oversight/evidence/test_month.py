"""The evidence of a month: its part of the record, its promotions, its statements."""

from datetime import date, timedelta

import pytest
from django.utils import timezone

from apps.chargeback.documents.reconcile import make_documents
from apps.common.errors import NotPermitted
from apps.oversight.evidence import actions
from tests.chargeback import months
from tests.factories import UserFactory
from tests.oversight.evidence.packs import made, verify

pytestmark = pytest.mark.django_db


def asked(month, auditor):
    return actions.ask_for_month(month=month, actor=auditor, now=timezone.now())


class TestThePresentMonth:
    def test_holds_its_part_of_the_record_and_each_of_its_promotions(
        self, told, auditor, key, unpacked
    ):
        pack = asked(timezone.now().date().replace(day=1), auditor)
        place = unpacked(made(pack, told.sources))
        end, said = verify(place, key)
        assert end == 0, said
        size = pack.checkpoint_size
        assert f"{size} entries of quartermaster/audit, numbers 0 to {size - 1}" in said
        assert "not in the pack: statements (the month is not closed)" in said
        for rollout in told.rollouts:
            name = f"{rollout.model_version.name}-{str(rollout.promotion_id)[:8]}"
            base = f"promotions/{name}"
            assert f"{base}/decisions/01-APPROVE/seen.json is what the record names" in said
            assert f"{base}/rollouts/01/commits/01-SERVE is commit" in said
        part = place / "record/part.qmr"
        part.write_text(part.read_text().replace("Carol", "Carla", 1))
        end, said = verify(place, key)
        assert (end, said) == (1, "WRONG: record/part.qmr was changed.\n")

    def test_is_the_last_that_can_be_asked_for_and_not_by_everybody(self, told, auditor):
        with pytest.raises(actions.NotYet, match="has not begun"):
            asked(date(2099, 1, 1), auditor)
        with pytest.raises(NotPermitted):
            asked(months.OCTOBER, UserFactory(username="nobody"))


class TestAClosedMonth:
    def test_holds_its_statements_as_they_were_closed_and_issued(
        self, told, auditor, key, unpacked, archive
    ):
        months.october()
        months.closed()
        make_documents(archive=archive, now=months.AFTER + timedelta(minutes=1))
        told.keeper.turn(now=timezone.now())
        place = unpacked(made(asked(months.OCTOBER, auditor), told.sources))
        end, said = verify(place, key)
        assert end == 0, said
        assert "statements/digests.json is what the record names: close.closed" in said
        for number in ("2026-10-001", "2026-10-002", "2026-10-003"):
            assert f"statements/{number}.json is one that statements/digests.json names" in said
            assert f"statements/{number}.pdf is what the record names: statement.made" in said
        assert "not in the pack: part of the record (nothing was sealed in this month)" in said
        assert "promotions/" not in said
