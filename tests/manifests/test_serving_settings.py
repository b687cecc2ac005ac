import json
from dataclasses import replace

import pytest

from apps.common.canonical import canonical
from apps.manifests.engine_args import pinned
from apps.manifests.serving_settings import (
    TUNABLE,
    BadSettings,
    ServingSettings,
    changes,
    changes_of_answers,
    in_short,
    lines,
)
from tests.manifests import objects

LARGE = objects.LARGE.settings


class TestJson:
    @pytest.mark.parametrize("settings", [ServingSettings(), LARGE])
    def test_comes_back_as_it_went(self, settings):
        assert ServingSettings.of_json(json.loads(canonical(settings.as_json()))) == settings

    def test_what_is_left_out_is_the_default(self):
        assert ServingSettings.of_json({}) == ServingSettings()
        assert ServingSettings.of_json({"gpus": 2}).memory == "12Gi"

    def test_the_same_settings_have_the_same_text(self):
        turned = replace(LARGE, engine_args=dict(reversed(LARGE.engine_args.items())))
        assert canonical(turned.as_json()) == canonical(LARGE.as_json())

    @pytest.mark.parametrize(
        "document",
        [
            {"gpu": 1},
            {"gpus": "1"},
            {"gpus": True},
            {"prefix_caching": 1},
            {"memory": 12},
            {"engine_args": ["--seed"]},
            {"engine_args": {"--seed": 1}},
            {"instance_types": "g6.xlarge"},
            {"instance_types": [7]},
        ],
    )
    def test_another_form_is_refused(self, document):
        with pytest.raises(BadSettings, match="serving setting"):
            ServingSettings.of_json(document)


class TestProblems:
    @pytest.mark.parametrize("settings", [ServingSettings(), LARGE])
    def test_nothing_is_wrong_with_what_works(self, settings):
        assert settings.problems() == []

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"gpus": 0, "tensor_parallelism": 0}, "1 to 16 GPUs"),
            ({"gpus": 17, "tensor_parallelism": 17}, "1 to 16 GPUs"),
            ({"gpus": 2}, "would use 1 GPU of the 2"),
            ({"tensor_parallelism": 2}, "would use 2 GPUs of the 1"),
            ({"cpu": "three"}, "no number of CPUs"),
            ({"cpu": "-1"}, "no number of CPUs"),
            ({"memory": "12G"}, "no size"),
            ({"memory": "99999999Gi"}, "no size"),
            ({"shm": "12Gi"}, "part of the memory"),
            ({"replicas_least": 0}, "at least 1"),
            ({"replicas_least": 3, "replicas_most": 2}, "least comes first"),
            ({"replicas_most": 101}, "at most 100"),
            ({"concurrency_target": 0}, "at once"),
            ({"drain_seconds": -1}, "drains for 0"),
            ({"drain_seconds": 3601}, "drains for 0"),
            ({"pre_stop_seconds": 601}, "before that"),
            ({"quantization": "fp8 --trust-remote-code"}, "no way to quantize"),
            ({"adapter_of": "clinical-summary"}, "names no version"),
            ({"adapter_of": "clinical-summary-v7"}, "cannot be served beside its base"),
            ({"instance_types": ("g6",)}, "no instance type"),
            ({"instance_types": ("g6.xlarge", "g6.xlarge")}, "named twice"),
            ({"engine_args": {"--trust-remote-code": ""}}, "no engine argument"),
            ({"engine_args": {"--enable-log-requests": ""}}, "no engine argument"),
            ({"engine_args": {"--model": "/etc"}}, "no engine argument"),
            ({"engine_args": {"--max_num_seqs": "4"}}, "no engine argument"),
            ({"engine_args": {"--seed=1": ""}}, "no engine argument"),
            ({"engine_args": {"--compilation-config": '{"backend": "os.system"}'}}, "may set"),
            (
                {
                    "tensor_parallelism": -1,
                    "engine_args": {"--pipeline-parallel-size": "-1"},
                },
                "at least 1 each",
            ),
            ({"engine_args": {"--pipeline-parallel-size": "many"}}, "a whole number"),
            ({"engine_args": {"--max-num-seqs": "many"}}, "a whole number"),
            ({"engine_args": {"--max-num-seqs": ""}}, "needs a value"),
            ({"engine_args": {"--enforce-eager": "yes"}}, "takes no value"),
            ({"engine_args": {"--kv-cache-dtype": "fp9"}}, "is one of"),
            ({"engine_args": {"--seed": "1\n--trust-remote-code"}}, "or no text"),
            ({"engine_args": {"--tool-call-parser": "x" * 401}}, "longer than"),
        ],
    )
    def test_what_nothing_would_take_is_told(self, wrong, words):
        (problem,) = replace(ServingSettings(), **wrong).problems()
        assert words in problem

    def test_a_pipeline_is_part_of_the_gpus(self):
        two = {"--pipeline-parallel-size": "2"}
        assert ServingSettings(gpus=4, tensor_parallelism=2, engine_args=two).problems() == []
        assert ServingSettings(gpus=2, tensor_parallelism=2, engine_args=two).problems() != []

    def test_what_sleeps_wakes_with_one(self):
        two = ServingSettings(replicas_least=2, replicas_most=3)
        assert two.problems() == []
        assert "wakes with one" in two.problems(sleeps=True)[0]

    def test_what_may_be_proposed_exists(self):
        assert set(pinned().options) >= TUNABLE


class TestInShort:
    @pytest.mark.parametrize(
        ("cpu", "words"),
        [("3", "3 CPUs"), ("3500m", "3.5 CPUs"), ("1000m", "1 CPU"), ("three", "three CPUs")],
    )
    def test_says_cpus_as_people_do(self, cpu, words):
        assert in_short(ServingSettings(cpu=cpu)) == f"1 GPU, {words}, 12Gi a replica; 1 replica"


class TestArguments:
    def test_of_the_default_are_those_of_today(self):
        assert ServingSettings().arguments() == ["--tensor-parallel-size=1"]

    def test_of_everything(self):
        assert LARGE.arguments() == [
            "--tensor-parallel-size=4",
            "--quantization=fp8",
            "--scheduling-policy=priority",
            "--no-enable-prefix-caching",
            "--shutdown-timeout=60",
            "--enforce-eager",
            "--max-num-seqs=256",
        ]


class TestFigures:
    def test_are_in_one_unit(self):
        assert (ServingSettings().cpu_millis, replace(LARGE, cpu="3500m").cpu_millis) == (
            3000,
            3500,
        )
        assert (LARGE.memory_mib, replace(LARGE, memory="512Mi").memory_mib) == (184320, 512)

    def test_a_replica_ends_once_it_drained(self):
        assert ServingSettings().stop_seconds is None
        assert LARGE.stop_seconds == 15 + 60 + 15


class TestChanges:
    def test_none_of_the_same(self):
        assert changes(LARGE, replace(LARGE)) == []

    def test_each_with_its_unit(self):
        found = changes(ServingSettings(), replace(ServingSettings(), drain_seconds=30, gpus=2))
        assert [(each.what, each.was, each.found) for each in found] == [
            ("GPUs a replica", "1", "2"),
            ("Drain", "0 s", "30 s"),
        ]

    def test_of_answers_are_those_that_change_them(self):
        fast = replace(ServingSettings(), cpu="8", replicas_most=4, prefix_caching=False)
        assert changes_of_answers(ServingSettings(), fast) == []
        other = replace(fast, quantization="fp8", engine_args={"--dtype": "half"})
        assert [each.name for each in changes_of_answers(fast, other)] == [
            "engine_args",
            "quantization",
        ]

    def test_every_setting_has_words(self):
        shown = dict(lines(LARGE))
        assert shown["Engine arguments"] == "--enforce-eager --max-num-seqs=256"
        assert all(words for _, words in lines(ServingSettings()))
