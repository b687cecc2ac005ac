"""`.ci/run` beside a made-up `make`: what runs, in which order, and what its last lines say."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / ".ci" / "run"
# Takes the next answer of its target: what it prints, what pytest then remembers as failed, its
# exit code. Writes down how it was called.
MAKE = """#!{python} -IS
import json, pathlib, sys
pathlib.Path("calls").open("a").write(" ".join(sys.argv[1:]) + "\\n")
answers = json.loads(pathlib.Path("answers.json").read_text())
said, failed, code = answers.get(sys.argv[1], [["", [], 0]]).pop(0)
pathlib.Path("answers.json").write_text(json.dumps(answers))
cache = pathlib.Path(".pytest_cache/v/cache/lastfailed")
cache.parent.mkdir(parents=True, exist_ok=True)
if failed is not None:
    cache.write_text(json.dumps(dict.fromkeys(failed, True), indent=2))
print(said)
sys.exit(code)
"""
GOOD = ("========== 40 passed, 2 skipped in 9.10s (0:00:09) ==========", [], 0)
NODES, STOPS = "tests/story/test_nodes.py::test_one[a b]", "tests/story/test_stops.py::test_two"


@pytest.fixture
def ci(tmp_path):
    """Run the script where `make` answers as given; return its exit code, its calls, its lines."""
    (tmp_path / "main" / ".ci").mkdir(parents=True)
    shutil.copy(RUN, tmp_path / "main" / ".ci" / "run")
    make = tmp_path / "bin" / "make"
    make.parent.mkdir()
    make.write_text(MAKE.replace("{python}", shutil.which("python3")))
    make.chmod(0o755)

    def run(answers, **env):
        here = tmp_path / "main"
        (here / "answers.json").write_text(json.dumps(answers))
        inherited = {"PATH": f"{make.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        done = subprocess.run(
            [str(here / ".ci" / "run")], env=inherited | env, capture_output=True, text=True
        )
        calls = (here / "calls").read_text().splitlines()
        return done.returncode, calls, done.stdout.rstrip().splitlines()

    return run


AGAIN = "test WORKERS= ARGS=--last-failed --last-failed-no-failures none"


class TestFlaky:
    def test_are_those_that_failed_first_and_passed_alone(self, ci):
        first = ("= 1 failed, 37 passed, 2 skipped, 2 errors in 9.10s =", [NODES, STOPS, "x"], 2)
        alone = ("= 1 failed, 2 passed, 9 deselected in 3.00s =", [STOPS], 2)
        code, calls, lines = ci({"test": [first, alone]})
        assert (code, calls) == (1, ["lint", "test", AGAIN])
        assert lines[-7:] == [
            "== Flaky: failed at first, passed when it ran again",
            NODES,
            "x",
            "",
            "== Failed: make test",
            "",
            "==== 39 passed, 1 failed, 2 skipped ====",
        ]

    def test_do_not_fail_the_run(self, ci):
        first = ("= 2 failed, 38 passed in 9.10s =", [NODES, STOPS], 2)
        alone = ("= 2 passed in 3.00s =", [], 0)
        code, calls, lines = ci({"test": [first, alone]})
        assert (code, calls) == (0, ["lint", "test", AGAIN, "check-gateway", "test-vllm"])
        assert lines[-5:-2] == [
            "== Flaky: failed at first, passed when it ran again",
            NODES,
            STOPS,
        ]
        assert lines[-1] == "==== 40 passed, 0 failed, 0 skipped ===="

    def test_are_none_where_all_passed_at_once(self, ci):
        code, _, lines = ci({"test": [GOOD]})
        assert (code, lines[-1]) == (0, "==== 40 passed, 0 failed, 2 skipped ====")
        assert not [line for line in lines if "Flaky" in line or "Failed" in line]

    def test_are_none_of_what_did_not_run_again(self, ci):
        """The second run breaks before its first test: pytest remembers what it did."""
        first = ("= 1 failed, 39 passed in 9.10s =", [NODES], 2)
        code, _, lines = ci({"test": [first, ("no database", None, 2)]})
        assert code == 1 and not [line for line in lines if "Flaky" in line]
        assert "== Failed: make test" in lines

    def test_are_not_what_an_earlier_run_remembered(self, ci, tmp_path):
        cache = tmp_path / "main" / ".pytest_cache/v/cache/lastfailed"
        cache.parent.mkdir(parents=True)
        cache.write_text(json.dumps({STOPS: True}, indent=2))
        first = ("no database", None, 2)
        _, _, lines = ci({"test": [first, ("= 1 deselected in 1.00s =", None, 5)]})
        assert not [line for line in lines if "Flaky" in line]

    def test_can_be_the_whole_walk_on_vllm(self, ci):
        walks = [("= 1 failed in 60.00s =", None, 2), ("= 1 passed in 60.00s =", None, 0)]
        code, calls, lines = ci({"test": [GOOD], "test-vllm": walks})
        assert (code, calls[-2:]) == (0, ["test-vllm", "test-vllm"])
        assert lines[-4:] == [
            "== Flaky: failed at first, passed when it ran again",
            "make test-vllm",
            "",
            "==== 41 passed, 0 failed, 2 skipped ====",
        ]


class TestCounts:
    def test_a_test_whose_teardown_failed_once(self, ci):
        """Pytest counts it as passed and as an error."""
        heading = "____ ERROR at teardown of test_one ____"
        first = (f"{heading}\n= 40 passed, 1 error in 9.10s =", [NODES], 2)
        _, _, lines = ci({"test": [first, ("= 1 passed in 3.00s =", [], 0)]})
        assert lines[-1] == "==== 40 passed, 0 failed, 0 skipped ===="

    def test_both_failures_of_the_walk_on_vllm_as_one(self, ci):
        walks = [("= 1 failed in 60.00s =", None, 2), ("= 1 failed in 60.00s =", None, 2)]
        code, _, lines = ci({"test": [GOOD], "test-vllm": walks})
        assert (code, lines[-3:]) == (
            1,
            ["== Failed: make test-vllm", "", "==== 40 passed, 1 failed, 2 skipped ===="],
        )


class TestOrder:
    def calls(self, ci, **env):
        return ci({"test": [GOOD]}, **env)[1][2:]

    def test_is_the_shorter_first_where_there_is_time_for_both(self, ci):
        assert self.calls(ci) == ["check-gateway", "test-vllm"]

    def test_is_the_story_first_where_both_may_not_fit(self, ci):
        assert self.calls(ci, CI_LIMIT_MINUTES="30") == ["test-vllm", "check-gateway"]

    def test_is_the_gateway_alone_where_the_story_does_not_fit(self, ci):
        assert self.calls(ci, CI_LIMIT_MINUTES="20") == ["check-gateway"]

    def test_leaves_both_out_where_no_time_is_left(self, ci):
        assert self.calls(ci, CI_LIMIT_MINUTES="5") == []

    def test_leaves_out_what_is_not_wanted(self, ci):
        assert self.calls(ci, CI_VLLM="0", CI_GATEWAY="0") == []


def test_ends_with_what_lint_found(ci):
    code, calls, _ = ci({"lint": [("E501", None, 2)]})
    assert (code, calls) == (2, ["lint"])


def test_fails_where_the_real_gateway_refuses(ci):
    code, _, lines = ci({"test": [GOOD], "check-gateway": [("refused", None, 2)]})
    assert (code, lines[-3]) == (1, "== Failed: make check-gateway")
    assert lines[-1] == "==== 40 passed, 0 failed, 2 skipped ===="
