"""How long runs usually take, and which earlier ones tell it."""

from datetime import timedelta

import pytest

from apps.evals import actions, queries
from apps.evals.models import EvalRun
from apps.evals.pace import Pace, pace_of, took
from tests.database import unguarded
from tests.factories import NOW, ModelVersionFactory, RegisteredModelFactory


def ended(start, ask, remove=None, **more):
    """A run asked for at NOW whose phases took so many seconds."""
    serving = NOW + timedelta(seconds=start)
    finished = serving + timedelta(seconds=ask)
    removed = finished + timedelta(seconds=remove) if remove is not None else None
    return EvalRun(
        requested_at=NOW, serving_at=serving, finished_at=finished, removed_at=removed, **more
    )


class TestPaceOf:
    def test_is_the_median_of_each_phase_by_itself(self):
        found = pace_of([ended(10, 60, 3), ended(30, 20, 9), ended(20, 40)])
        assert (found.runs, found.start, found.ask, found.remove) == (
            3, timedelta(seconds=20), timedelta(seconds=40), timedelta(seconds=6),
        )  # fmt: skip
        assert found.whole == timedelta(seconds=60)

    def test_says_on_what_it_rests(self):
        assert pace_of([ended(1, 1)] * 2).basis == (
            "Typical times are the median of 2 earlier runs."
        )
        assert pace_of([ended(1, 1)], is_simulated=True).basis == (
            "Typical times are those of one earlier run, on simulated nodes."
        )

    def test_knows_nothing_without_runs(self):
        found = pace_of([], is_simulated=True)
        assert (found, found.whole, found.basis) == (Pace(), None, "")


class TestWords:
    def test_say_how_long_it_took(self):
        assert took(NOW, NOW + timedelta(seconds=119)) == "119 s"
        assert took(NOW, NOW + timedelta(seconds=185)) == "3 min 05 s"
        assert took(None, NOW) == took(NOW, None) == ""


def earlier(run, most):
    model = run.model_version.registered_model
    return queries.earlier_results(run.suite, model, most, before=run.requested_at)


@pytest.mark.django_db
class TestEarlierResults:
    def finished(self, version, suite, alice, *, at, status="PASSED"):
        run = actions.start_eval_run(version=version, suite=suite, actor=alice, now=at)
        with unguarded():
            EvalRun.objects.filter(pk=run.pk).update(
                status=status, finished_at=at, report_digest="sha256:x"
            )
        return run

    def test_are_the_models_own_before_it_or_else_those_of_all(self, alice, suite, version):
        other = ModelVersionFactory(
            registered_model=RegisteredModelFactory(name="other", owner_team=alice.team)
        )
        theirs = self.finished(other, suite, alice, at=NOW)
        first = actions.start_eval_run(
            version=version, suite=suite, actor=alice, now=NOW + timedelta(minutes=1)
        )
        assert earlier(first, 10) == [theirs]
        with unguarded():
            EvalRun.objects.filter(pk=first.pk).update(status="ERROR")
        own = [
            self.finished(version, suite, alice, at=NOW + timedelta(minutes=minute), status=status)
            for minute, status in ((2, "PASSED"), (3, "FAILED"))
        ]
        late = NOW + timedelta(minutes=4)
        run = actions.start_eval_run(version=version, suite=suite, actor=alice, now=late)
        self.finished(ModelVersionFactory(registered_model=version.registered_model, number=9),
                      suite, alice, at=late + timedelta(minutes=1))  # fmt: skip
        assert earlier(run, 10) == own[::-1]
        assert earlier(run, 1) == own[1:]
