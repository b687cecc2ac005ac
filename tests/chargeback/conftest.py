"""Who looks at money, and a month of it."""

import pytest

from apps.accounts.models import Role
from tests.chargeback import november as months
from tests.factories import TeamFactory, UserFactory


@pytest.fixture
def fiona(db):
    """Finance."""
    return UserFactory(
        username="fiona", team=TeamFactory(slug="finance"), with_roles=[Role.FINANCE]
    )


@pytest.fixture
def november(registered_model):
    """What two teams used in November."""
    months.used(registered_model)
