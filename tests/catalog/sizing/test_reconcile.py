"""A worker works figures out, and may die at any of them."""

import json
from datetime import timedelta

import pytest

from apps.catalog.facts.actions import record_facts
from apps.catalog.facts.reading import Sources, read
from apps.catalog.sizing import actions, compute, queries
from apps.catalog.sizing.compute import Computed
from apps.catalog.sizing.models import CardFigures, SizingJob
from apps.catalog.sizing.reconcile import MOST_ATTEMPTS, missing, work_out
from apps.catalog.sizing.shapes import of_config
from tests.catalog import configs
from tests.catalog.sizing.test_fits import figures
from tests.factories import NOW, ModelVersionFactory

pytestmark = pytest.mark.django_db


def job(config=configs.LLAMA_8B) -> SizingJob:
    found = actions.ask_for_figures(shape=of_config(config), now=NOW)
    assert found is not None
    return found


@pytest.fixture
def library(monkeypatch):
    """Let a library that dies after some figures answer in place of the child."""

    def answers(count):
        def computed(shape, wanted):
            for table, ways in wanted[:count]:
                yield Computed(table, ways, figures(ways))

        monkeypatch.setattr(compute, "computed", computed)

    return answers


class TestWorkOut:
    def test_makes_what_is_missing_and_nothing_twice(self, library):
        asked = job()
        library(3)
        work_out(job=asked, now=NOW)
        assert CardFigures.objects.count() == 3
        asked.refresh_from_db()
        assert asked.finished_at is None
        assert asked.message == f"{len(asked.wanted) - 3} figures did not come. " + (
            "Trying again by itself."
        )
        library(1000)
        later = asked.next_check_at
        work_out(job=asked, now=later)
        asked.refresh_from_db()
        assert (asked.finished_at, asked.next_check_at, asked.message) == (later, None, "")
        assert missing(asked) == []
        before = list(CardFigures.objects.values())
        work_out(job=asked, now=later + timedelta(days=1))
        assert list(CardFigures.objects.values()) == before

    def test_gives_up_where_the_library_always_dies(self, library):
        asked = job()
        library(0)
        at = NOW
        for _ in range(MOST_ATTEMPTS):
            work_out(job=asked, now=at)
            asked.refresh_from_db()
            at = asked.next_check_at or at
        assert asked.finished_at is not None
        problems = set(CardFigures.objects.values_list("problem", flat=True))
        assert problems == {"the library cannot model it there (it ended)"}

    def test_gives_up_where_every_worker_dies_of_it(self, monkeypatch):
        asked, at = job(), NOW

        def dies(shape, wanted):
            raise MemoryError
            yield

        monkeypatch.setattr(compute, "computed", dies)
        for _ in range(MOST_ATTEMPTS):
            with pytest.raises(MemoryError):
                work_out(job=asked, now=at)
            asked.refresh_from_db()
            at = asked.next_check_at
        work_out(job=asked, now=at)
        asked.refresh_from_db()
        assert (asked.finished_at, asked.next_check_at) == (at, None)
        assert CardFigures.objects.count() == len(asked.wanted)

    def test_takes_no_line_that_the_child_did_not_finish(self, monkeypatch, tmp_path):
        whole = {"table": "l40s", "ways": 1, "figures": None, "problem": "it cannot"}
        child = tmp_path / "child"
        child.write_text(
            f"#!/bin/sh\ncat > /dev/null\necho said by a library\necho '{json.dumps(whole)}'\n"
            'printf \'{"table": "h1\'\n'
        )
        child.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(child))
        found = list(compute.computed(of_config(configs.LLAMA_8B), [("l40s", 1)]))
        assert found == [Computed("l40s", 1, None, "it cannot")]

    def test_leaves_a_job_alone_that_another_worker_has(self, library):
        asked = job()
        library(1000)
        SizingJob.objects.update(next_check_at=NOW + timedelta(minutes=1))
        work_out(job=asked, now=NOW)
        assert CardFigures.objects.count() == 0

    def test_keeps_why_there_are_none_from_the_child_itself(self):
        asked = job(configs.UNKNOWN)
        work_out(job=asked, now=NOW)
        asked.refresh_from_db()
        assert asked.finished_at == NOW
        kept = CardFigures.objects.filter(shape=asked.shape)
        assert kept.count() == len(asked.wanted)
        assert {row.figures for row in kept} == {None}
        assert "never measured" in kept[0].problem


class TestAskForFigures:
    def test_asks_once_for_a_configuration(self):
        assert job() == job()
        assert job(configs.QWEN_7B) != job()
        ways = {way for _, way in job(configs.QWEN_7B).wanted}
        assert ways == {1, 2, 4}  # 28 heads

    def test_lets_no_more_wait_than_a_worker_gets_through(self):
        for place in range(actions.MOST_WAITING):
            job(configs.LLAMA_8B | {"rope_theta": place + 1})
        one_more = of_config(configs.QWEN_7B)
        assert actions.ask_for_figures(shape=one_more, now=NOW) is None
        assert job(configs.LLAMA_8B | {"rope_theta": 1}) is not None  # asked for already
        SizingJob.objects.filter(config__rope_theta=2).update(finished_at=NOW)
        assert actions.ask_for_figures(shape=one_more, now=NOW) is not None

    def test_asks_nothing_without_an_architecture(self):
        nameless = of_config({"num_hidden_layers": 4})
        assert actions.ask_for_figures(shape=nameless, now=NOW) is None


class TestReported:
    def version(self, model=None, config=configs.LLAMA_8B, **more):
        made = ModelVersionFactory(**({"registered_model": model} if model else {}))
        files = {"config.json": json.dumps(config).encode()}
        headers = {"m.safetensors": configs.header(config)}
        record_facts(version=made, facts=read(Sources([*files], files, headers)), now=NOW)
        return made

    def report(self, version, name, tokens, at=NOW, gpu="h100"):
        start = actions.Start(name, "vllm 0.26.0", gpu, 1, 85 * 10**9, 0.9, tokens)
        actions.record_engine_reports(starts=[(version, start)], now=at)

    def test_is_a_versions_own_before_a_newer_one_of_its_model(self):
        one = self.version()
        other = self.version(one.registered_model)
        self.report(one, "a", 400_000)
        self.report(other, "b", 500_000, at=NOW + timedelta(days=1))
        self.report(one, "c", 300_000, gpu="a100")
        assert queries.reported(one)["h100", 1].kv_tokens == 400_000
        assert queries.reported(other)["h100", 1].kv_tokens == 500_000
        assert queries.reported(other)["a100", 1].version == one.name

    def test_is_never_another_models(self):
        one, stranger = self.version(), self.version()
        self.report(one, "a", 400_000)
        assert queries.reported(stranger) == {}
