"""A verified version, the suite, and a run of both."""

import pytest

from apps.evals import actions
from apps.evals.models import EvalSuite
from apps.evals.suites import shipped
from apps.evals.suites.actions import ensure_suite
from tests.factories import NOW, ModelVersionFactory


@pytest.fixture
def version(registered_model):
    return ModelVersionFactory(registered_model=registered_model, number=1)


@pytest.fixture
def suite(db):
    return ensure_suite(suite=shipped.load(), now=NOW, judges=[EvalSuite.ANY])


@pytest.fixture
def run(version, suite, alice):
    return actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)
