"""Which run counts, among the runs of two versions on two suites."""

from datetime import timedelta

import pytest

from apps.accounts.models import Role
from apps.evals import queries
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.suites.queries import suites_judging
from tests.database import unguarded
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories

pytestmark = pytest.mark.django_db


def run(version, suite, status="PASSED", finished=0, asked=0):
    """Return a run of a version that was asked for and finished so many hours after noon."""
    made = factories.run(version)
    with unguarded():
        EvalRun.objects.filter(pk=made.pk).update(
            suite=suite,
            status=status,
            requested_at=NOW + timedelta(hours=asked),
            finished_at=None if finished is None else NOW + timedelta(hours=finished),
        )
    return EvalRun.objects.get(pk=made.pk)


@pytest.fixture
def old(db):
    return factories.suite(1)


@pytest.fixture
def suite(old):
    return factories.suite(2)


@pytest.fixture
def version(registered_model):
    return factories.version(registered_model, 7)


def named(slug, *judges, revision=1, status="SHIPPED"):
    """Return a revision of a suite that judges these models."""
    decided = {} if status == "PENDING" else {"decided_at": NOW}
    by = {"requested_by": UserFactory()} if status != "SHIPPED" else {}
    by |= {"decided_by": UserFactory()} if status == "APPROVED" else {}
    return EvalSuite.objects.create(
        slug=slug, revision=revision, title=slug, digest=f"sha256:{slug}-{revision}",
        packet_count=1, thresholds={}, judges=list(judges), status=status, requested_at=NOW,
        **decided, **by,
    )  # fmt: skip


def deciding(version, suite):
    return queries.deciding_runs(version, [suite]).get(suite.pk)


class TestSuitesJudging:
    def test_is_the_newest_revision(self, suite, registered_model):
        assert suites_judging(registered_model) == [suite]

    def test_is_none_before_there_is_one(self, registered_model):
        assert suites_judging(registered_model) == []

    def test_is_one_that_names_the_model_before_one_that_judges_any(self, suite, registered_model):
        own, other = named("own", registered_model.name), RegisteredModelFactory(name="other")
        assert suites_judging(registered_model) == [own]
        assert suites_judging(other) == [suite]

    def test_counts_only_revisions_that_are_in_force(self, registered_model):
        name = registered_model.name
        first = named("own", name)
        named("own", revision=2, status="PENDING")
        assert suites_judging(registered_model) == [first]
        second = named("twin", name)
        assert suites_judging(registered_model) == [first, second]
        named("twin", "another", revision=2, status="APPROVED")
        assert suites_judging(registered_model) == [first]


class TestDecidingRun:
    def test_is_the_newest_result_whatever_it_says(self, version, suite):
        run(version, suite, finished=1, asked=1)
        below = run(version, suite, status="FAILED", finished=3, asked=0)
        assert deciding(version, suite) == below
        # asked for later, but done sooner
        run(version, suite, finished=2, asked=2)
        assert deciding(version, suite) == below

    def test_is_none_that_could_not_be_carried_out_or_still_runs(self, version, suite):
        passed = run(version, suite, finished=1)
        run(version, suite, status="ERROR", finished=2)
        run(version, suite, status="RUNNING", finished=None)
        assert deciding(version, suite) == passed

    def test_is_of_this_version_on_this_suite(self, version, registered_model, old, suite):
        other = factories.version(registered_model, 8)
        run(other, suite, finished=2)
        run(version, old, finished=2)
        assert deciding(version, suite) is None


class TestNewestOfMany:
    def test_runs_are_the_latest_that_were_asked_for_whatever_came_of_them(
        self, version, registered_model, old, suite, django_assert_num_queries
    ):
        other, without = (factories.version(registered_model, number) for number in (8, 9))
        run(version, suite, finished=9, asked=1)
        failed = run(version, old, status="ERROR", finished=2, asked=2)
        running = run(other, suite, status="RUNNING", finished=None, asked=1)
        run(other, suite, finished=9, asked=0)
        run(factories.version(registered_model, 10), suite, asked=5)
        with django_assert_num_queries(1):
            found = queries.newest_runs([version, other, without])
        assert found == {version.pk: failed, other.pk: running}

    def test_results_are_the_latest_that_finished_on_whatever_suite(
        self, version, registered_model, old, suite, django_assert_num_queries
    ):
        other, without = (factories.version(registered_model, number) for number in (8, 9))
        newest = run(version, old, status="FAILED", finished=3, asked=0)
        run(version, suite, finished=2, asked=2)
        run(version, suite, status="ERROR", finished=9, asked=2)
        passed = run(other, suite, finished=1)
        run(without, suite, status="RUNNING", finished=None)
        run(factories.version(registered_model, 10), suite, finished=9)
        with django_assert_num_queries(1):
            found = queries.newest_results([version, other, without])
            assert {each.suite for each in found.values()} == {old, suite}
        assert found == {version.pk: newest, other.pk: passed}


class TestRunsFor:
    def test_are_all_for_a_person_with_a_role(
        self, version, registered_model, suite, django_assert_num_queries
    ):
        made = {run(version, suite), run(factories.version(registered_model, 8), suite)}
        reviewer = UserFactory(with_roles=[Role.REVIEWER])
        assert set(queries.runs_for(reviewer)) == made
        assert list(queries.runs_for(UserFactory())) == []
        with django_assert_num_queries(1):
            for each in queries.runs_for(reviewer):
                assert each.suite and each.requested_by
                assert each.model_version.registered_model.owner_team


def earlier(asked, most):
    model = asked.model_version.registered_model
    return queries.earlier_results(asked.suite, model, most, before=asked.requested_at)


class TestEarlierResults:
    def test_are_on_the_same_suite_and_done_before_it_was_asked_for(
        self, version, registered_model, old, suite
    ):
        other = factories.version(registered_model, 8)
        first, second = run(version, suite, finished=1), run(other, suite, finished=3)
        run(version, old, finished=2)
        run(version, suite, status="ERROR", finished=2)
        asked = run(other, suite, status="RUNNING", finished=None, asked=3)
        late = timedelta(microseconds=1)
        with unguarded():
            later = run(version, suite)
            EvalRun.objects.filter(pk=later.pk).update(finished_at=NOW + timedelta(hours=3) + late)
        assert earlier(asked, 10) == [second, first]
        assert earlier(asked, 1) == [second]

    def test_are_those_of_all_models_where_the_model_has_none_on_the_suite(
        self, version, old, suite
    ):
        elsewhere = factories.version(RegisteredModelFactory(name="summary"), 1)
        theirs = run(elsewhere, suite, finished=1)
        run(elsewhere, old, finished=2)
        run(version, old, finished=2)
        asked = run(version, suite, status="RUNNING", finished=None, asked=5)
        assert earlier(asked, 10) == [theirs]
