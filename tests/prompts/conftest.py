"""An auditor asks, a reviewer or another auditor decides."""

import pytest

from apps.accounts.models import Role
from tests.factories import TeamFactory, UserFactory


@pytest.fixture
def ada(db):
    """An auditor."""
    return UserFactory(username="ada", team=TeamFactory(slug="audit"), with_roles=[Role.AUDITOR])


@pytest.fixture
def anton(ada):
    """Another auditor."""
    return UserFactory(username="anton", team=ada.team, with_roles=[Role.AUDITOR])
