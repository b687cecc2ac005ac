"""Which stacks have the sample year, and the job that brings it in."""

import json
from dataclasses import replace

import pytest

from deploy.local.doubles.idp.personas import find_persona
from deploy.local.stack import product, sample
from deploy.local.stack.part import Context
from portal.sample.people import PEOPLE
from tests.local.gateway_stand import ROOT

YEAR = "sample-year"


@pytest.fixture
def context(tmp_path):
    return Context(
        root=ROOT,
        state=tmp_path,
        binaries=tmp_path / "bin",
        python="python",
        ports=lambda name, preferred: preferred,
        env={},
    )


def with_env(context, **env):
    return replace(context, env=env)


def names(context):
    return {part.name for part in product.parts(context)}


class TestKind:
    @pytest.mark.parametrize(
        ("env", "kind"),
        [
            ({}, "year"),
            ({"SAMPLE": "none"}, "none"),
            ({"SAMPLE": "year"}, "year"),
            ({"DATABASE_URL": "postgres://theirs"}, "none"),
            ({"AWS_ENDPOINT_URL_S3": "http://theirs"}, "none"),
            ({"DATABASE_URL": "postgres://theirs", "SAMPLE": "year"}, "year"),
        ],
    )
    def test_is_the_year_where_database_and_s3_are_the_stacks_own(self, context, env, kind):
        found = with_env(context, **env)
        assert sample.kind(found) == kind
        assert product.environment(found)["SAMPLE"] == kind
        assert (YEAR in names(found)) == (kind == "year")

    def test_stays_what_it_was_until_the_state_is_removed(self, context):
        assert sample.kind(with_env(context, SAMPLE="none")) == "none"
        assert sample.kind(context) == "year"
        assert sample.kind(with_env(context, SAMPLE="none")) == "year"


class TestParts:
    def test_bring_it_in_behind_what_people_wait_for(self, context):
        (job,) = sample.parts(context, {"SAMPLE": "year"})
        assert (job.name, job.needs, job.once) == (YEAR, ("sample-versions",), True)
        assert job.command[:4] == ["nice", "python", "manage.py", "load_sample_year"]
        told = job.command[-1]
        assert told == str(context.state / "secrets" / "bill-writer.json")
        writer = json.loads((context.state / "secrets" / "bill-writer.json").read_text())
        assert writer["command"] == ["python", "-m", "deploy.local.doubles.cur"]
        assert writer["env"]["AWS_ACCESS_KEY_ID"] == "qmadmin"
        assert (context.state / "secrets" / "bill-writer.json").stat().st_mode & 0o077 == 0

    def test_bill_nobody_where_a_real_bill_is_read(self, context):
        (job,) = sample.parts(with_env(context, CUR_BUCKET="theirs"), {})
        assert "--bills" not in job.command


class TestPeople:
    def test_of_the_stack_are_those_of_the_sample(self):
        both = [(one, find_persona(one.username)) for one in PEOPLE if find_persona(one.username)]
        assert len(both) >= 10
        for person, persona in both:
            assert (person.subject, person.name) == (persona.subject, persona.name)
            assert persona.groups == (person.group,)
            assert (person.team, person.cost_center) in {
                (team.slug, team.cost_center) for team in persona.teams
            }
