"""Setting prices: whose, from when, and what is recorded."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.accounts.models import Role
from apps.audit.actions import System
from apps.audit.models import Action
from apps.chargeback import actions
from apps.chargeback.models import Rate
from apps.common.errors import NotPermitted
from tests.chargeback.test_queries import CHEAP, DEAR, END, START, rate
from tests.factories import RegisteredModelFactory, UserFactory
from tests.trail import AuditAway, trail

pytestmark = pytest.mark.django_db
MIDDLE = START + timedelta(days=10)


@pytest.fixture
def fiona(db):
    return UserFactory(username="fiona", with_roles=[Role.FINANCE])


def ends(model):
    return list(Rate.objects.filter(registered_model=model).values_list("active_to", flat=True))


class TestSetRate:
    def test_ends_the_models_latest_rate_and_no_other(self, registered_model):
        other = RegisteredModelFactory()
        for model in (other, registered_model):
            rate(model, CHEAP, START)
            rate(model, DEAR, MIDDLE)
        rate(other, CHEAP, END + timedelta(days=3))
        rate(registered_model, CHEAP, END)
        assert ends(registered_model) == [None, END, MIDDLE]
        assert ends(other) == [None, END + timedelta(days=3), MIDDLE]

    def test_stores_and_records_what_finance_set(self, registered_model, fiona):
        row = actions.set_rate(
            model=registered_model, prices=CHEAP, active_from=END, actor=fiona, now=START
        )
        row.refresh_from_db()
        assert (row.input_usd_per_million, row.cached_input_usd_per_million) == (
            CHEAP.input,
            CHEAP.cached_input,
        )
        assert (row.output_usd_per_million, row.set_by, row.set_at) == (CHEAP.output, fiona, START)
        prices = {"input": "0.10", "cached_input": "0.01", "output": "0.40"}
        assert trail(row) == [(Action.RATE_SET, "fiona", {"usd_per_million": prices})]

    def test_names_the_loader_where_no_person_set_it(self, registered_model):
        row = actions.set_rate(
            model=registered_model, prices=CHEAP, active_from=END, actor=System("tests"), now=START
        )
        assert (row.set_by, trail(row)[0][1]) == (None, "system:tests")

    @pytest.mark.parametrize(
        "odd", [{"minutes": 30}, {"seconds": 1}, {"microseconds": 1}, {"hours": -1}, {"hours": 0}]
    )
    def test_refuses_a_start_that_is_no_whole_hour_or_not_after_the_last(
        self, registered_model, odd
    ):
        rate(registered_model, CHEAP, START)
        with pytest.raises(actions.BadRate):
            rate(registered_model, DEAR, START + timedelta(**odd))
        assert ends(registered_model) == [None]

    @pytest.mark.parametrize("part", ["input", "cached_input", "output"])
    def test_refuses_a_price_below_zero_but_not_zero(self, registered_model, part):
        with pytest.raises(actions.BadRate, match="negative"):
            rate(registered_model, replace(CHEAP, **{part: Decimal("-0.01")}), START)
        assert rate(registered_model, replace(CHEAP, **{part: Decimal(0)}), START)

    def test_is_for_finance(self, registered_model, charlie):
        with pytest.raises(NotPermitted):
            actions.set_rate(
                model=registered_model, prices=CHEAP, active_from=START, actor=charlie, now=START
            )
        assert not Rate.objects.exists()

    def test_changes_nothing_that_it_cannot_record(self, registered_model, audit_away):
        rate(registered_model, CHEAP, START)
        with audit_away(), pytest.raises(AuditAway):
            rate(registered_model, DEAR, END)
        assert ends(registered_model) == [None]
