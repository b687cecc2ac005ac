"""A verified version, the suite, and a run of both."""

import pytest

from apps.evals import actions, suites
from tests.factories import NOW, ModelVersionFactory


@pytest.fixture
def version(registered_model):
    return ModelVersionFactory(registered_model=registered_model, number=1)


@pytest.fixture
def suite(db):
    return actions.ensure_suite(suite=suites.load(), now=NOW)


@pytest.fixture
def run(version, suite, alice):
    return actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)
