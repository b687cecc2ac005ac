"""A model's color: the same for ever, another one for each of the first eight."""

from datetime import timedelta

from apps.catalog.hues import hues
from tests.factories import NOW, RegisteredModelFactory


def test_models_take_the_hues_in_the_order_of_their_registration(db, django_assert_num_queries):
    for place, name in enumerate(("zeta", "alpha", "mu")):
        RegisteredModelFactory(name=name, created_at=NOW + timedelta(days=place))
    with django_assert_num_queries(1):
        assert hues() == {"zeta": 0, "alpha": 1, "mu": 2}
    RegisteredModelFactory(name="beta", created_at=NOW + timedelta(days=9))
    assert hues()["mu"] == 2
