"""What usage may name in these tests."""

import pytest

from tests.factories import ModelVersionFactory, RegisteredModelFactory, TeamFactory

NAMES = {"prior-auth-extract": (1, 2), "clinical-summary": (1,), "other": (1,)}


@pytest.fixture
def names(db):
    """Teams, and models with versions: two of everything."""
    for slug in ("claims-review", "prior-auth", "odd"):
        TeamFactory(slug=slug)
    for name, numbers in NAMES.items():
        model = RegisteredModelFactory(name=name)
        for number in numbers:
            ModelVersionFactory(registered_model=model, number=number)
