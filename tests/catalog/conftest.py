"""What several tests of the catalog begin with."""

import pytest

from tests.catalog.test_actions import add
from tests.factories import RegisteredModelFactory


@pytest.fixture
def files(alice, registered_model):
    """The same file of two versions."""
    versions = (
        add(registered_model, alice),
        add(RegisteredModelFactory(owner_team=alice.team), alice),
    )
    return [version.files.get(name="config.json") for version in versions]
