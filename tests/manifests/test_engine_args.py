"""vLLM's arguments against its own parser's options: what it takes passes, what it would refuse is
named.
"""

import json

import pytest

from apps.manifests import engine_args, serving
from apps.manifests.engine_args import BadArguments, Option, Parser, check_arguments
from tests.manifests.objects import VERSION

PARSER = Parser(
    "9.9",
    {
        "--max-model-len": Option("1", "human_readable_int"),
        "--seed": Option("1", "int"),
        "--gpu-memory-utilization": Option("1", "float"),
        "--dtype": Option("1", choices=("auto", "float16")),
        "--enforce-eager": Option("0"),
        "--served-model-name": Option("+"),
        "--profile": Option("?"),
        "--hf-overrides": Option("1"),
        "-tp": Option("1", "int"),
    },
)


class TestCheckArguments:
    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["--max-model-len=4096", "--enforce-eager"],
            ["--max_model_len", "4096"],
            ["--max-model-len=8k"],
            ["--seed", "-1", "--gpu-memory-utilization=.9"],
            ["--served-model-name", "a", "b", "--dtype=auto"],
            ["--profile", "--seed=1"],
            ["--profile", "x"],
            ["--hf-overrides.rope.factor=two"],
            ["-tp", "2"],
        ],
    )
    def test_takes_what_vllm_takes(self, arguments):
        assert check_arguments(arguments, PARSER) == []

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["--max-model-length=1"], "there is no option --max-model-length."),
            (["--max-model=1"], "there is no option --max-model."),
            (["--enforce-eager=true"], "--enforce-eager takes no value, and was given 'true'."),
            (["--seed"], "--seed needs a value."),
            (["--seed="], "--seed needs a value."),
            (["--served-model-name", "--seed=1"], "--served-model-name needs a value."),
            (["--seed", "1", "2"], "--seed takes one value; '2' belongs to no option."),
            (["model", "--seed=1"], "'model' belongs to no option."),
            (["--seed=many"], "--seed takes a whole number, not 'many'."),
            (["--max-model-len=8q"], "--max-model-len takes a whole number, 8192 or 8k, not '8q'."),
            (
                ["--gpu-memory-utilization=90%"],
                "--gpu-memory-utilization takes a number, not '90%'.",
            ),
            (["--dtype=float15"], "--dtype is one of auto, float16, not 'float15'."),
            (["-x"], "there is no option -x."),
        ],
    )
    def test_names_what_vllm_would_refuse(self, arguments, problem):
        assert check_arguments(arguments, PARSER) == [problem]

    def test_names_every_problem(self):
        assert len(check_arguments(["--seed=x", "--nope", "--dtype"], PARSER)) == 3


class TestPinned:
    def test_is_the_version_that_the_serving_image_has(self, settings):
        assert settings.SERVING_IMAGE.endswith(f":v{engine_args.pinned().version}")

    def test_knows_hundreds_of_options(self):
        assert len(engine_args.pinned().options) > 300
        assert {option.values for option in engine_args.pinned().options.values()} == {
            "0",
            "1",
            "+",
            "?",
        }

    @pytest.mark.parametrize(
        ("argument", "words"),
        [
            ("--max-model-len=long", "a whole number or auto"),
            ("--tensor-parallel-size=two", "a whole number"),
            ("--dtype=float15", "is one of auto, bfloat16"),
            ("--gpu-memory-utilisation=0.9", "no option"),
        ],
    )
    def test_refuses_what_a_person_gets_wrong(self, argument, words):
        with pytest.raises(BadArguments, match=words):
            engine_args.checked([argument])


class TestRendering:
    def test_renders_no_argument_that_the_engine_would_refuse(self, tmp_path, monkeypatch):
        table = json.loads(engine_args.OPTIONS_FILE.read_text())
        del table["options"]["--tensor-parallel-size"]
        other = tmp_path / "options.json"
        other.write_text(json.dumps(table))
        monkeypatch.setattr(engine_args, "OPTIONS_FILE", other)
        engine_args.pinned.cache_clear()
        try:
            with pytest.raises(
                BadArguments, match="vLLM 0.32.0 would refuse .* no option --tensor-parallel-size"
            ):
                serving.inference_service(VERSION)
        finally:
            monkeypatch.undo()
            engine_args.pinned.cache_clear()
        assert serving.inference_service(VERSION)
