"""The workflows that ship: their own steps, run by bash as a runner would, with tokens of a local
issuer; and what linters say of them.

What the steps call `quartermaster` leads into this process, so that portal, worker and rows are the
test's own. Everything else is as in a job: the shell, the environment, the files of GITHUB_*.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from django.utils import timezone

from apps.accounts import provider
from apps.cli import session, watching
from apps.cli.__main__ import run
from apps.cli.pipelines import PipelineTokens
from apps.cli.sign_in import Facts, Provider
from apps.evals.models import EvalRun
from apps.promotions.models import Promotion
from deploy.local import platform
from tests.accounts.pipelines import samples
from tests.catalog.samples import folder, new_model
from tests.cli.test_publishing import verify_all
from tests.cli.wires import PORTAL
from tests.promotions import factories as promoted

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "github"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
CARD = b"---\nlicense: apache-2.0\n---\n# Extract\n\nReads codes from packets of claims.\n"
SHIM = f"""#!{sys.executable}
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect(os.environ["SHIM"])
    line.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    answer = json.loads(line.makefile().readline())
sys.stdout.write(answer["out"]); sys.stderr.write(answer["err"]); sys.exit(answer["code"])
"""


def linter(name):
    """Return a linter's program; None where this machine has none."""
    ready = Path.home() / ".cache" / "quartermaster" / "ready"
    folders = [os.environ.get("QUARTERMASTER_BINARIES", ""), ready, platform.binaries(os.environ)]
    found = [Path(folder) / name for folder in folders if folder]
    return next((str(path) for path in found if path.is_file()), shutil.which(name))


class TestLinters:
    @pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
    def test_actionlint_finds_nothing(self, path):
        if linter("actionlint") is None:
            pytest.skip("actionlint is not on this machine")
        found = subprocess.run(
            [linter("actionlint"), "-no-color", path], capture_output=True, text=True
        )
        assert (found.returncode, found.stdout) == (0, "")

    @pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
    def test_zizmor_finds_nothing(self, path):
        if linter("zizmor") is None:
            pytest.skip("zizmor is not on this machine")
        found = subprocess.run(
            [linter("zizmor"), "--offline", path], capture_output=True, text=True
        )
        assert found.returncode == 0, found.stdout

    @pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
    def test_give_a_job_no_more_than_it_needs(self, path):
        """What the linters would say too: no rights by default, actions by commit, no values of an
        event inside a script.
        """
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}
        for job in workflow["jobs"].values():
            assert set(job["permissions"]) <= {"contents", "id-token"}
            assert job["permissions"].get("contents", "read") == "read"
            for step in job["steps"]:
                assert "${{" not in step.get("run", "")
                if "uses" in step:
                    assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"])


class Job:
    """One job of a workflow on this machine. values: what its expressions come to."""

    def __init__(self, path: Path, place: Path, values: dict[str, str]) -> None:
        (self.job,) = yaml.safe_load(path.read_text())["jobs"].values()
        self.place, self.values = place, values
        self.output, self.summary = place / "output", place / "summary"
        self.output.touch()
        self.summary.touch()
        bin_folder = place / "bin"
        bin_folder.mkdir()
        (bin_folder / "quartermaster").write_text(SHIM)
        (bin_folder / "quartermaster").chmod(0o755)
        self.env = {
            "PATH": f"{bin_folder}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "SHIM": str(place / "line"),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_SHA": "c" * 40,
            "GITHUB_REPOSITORY": samples.RULE.repository,
        }
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.env["SHIM"])
        self.server.listen()

    def steps(self):
        """Run each step that has a script; yield its name and what came of it."""
        for step in self.job["steps"]:
            if "run" in step:
                yield step["name"], self.run(step)
                outputs = dict(
                    line.split("=", 1) for line in self.output.read_text().splitlines() if line
                )
                self.values |= {
                    f"steps.{step.get('id')}.outputs.{name}": value
                    for name, value in outputs.items()
                }

    def run(self, step):
        """Run one step as `bash -e`, serving what it calls `quartermaster` from this thread."""
        script = self.place / "script.sh"
        script.write_text(step["run"])
        env = self.env | self.expanded(self.job.get("env", {})) | self.expanded(step.get("env", {}))
        shell = subprocess.Popen(
            ["bash", "-e", script], cwd=self.place, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.server.settimeout(0.1)
        while shell.poll() is None:
            self.serve()
        out, err = shell.communicate()
        return shell.returncode, out, err

    def serve(self):
        """Run one command for a step, where one asks."""
        try:
            line, _ = self.server.accept()
        except TimeoutError:
            return
        with line:
            line.settimeout(None)
            words = json.loads(line.makefile().readline())
            line.sendall(json.dumps(self.command(words)).encode() + b"\n")

    def expanded(self, env):
        """Return an environment with each expression replaced by its value."""
        return {name: self.value(str(text)) for name, text in env.items()}

    def value(self, text):
        """Return a text with its expressions replaced; the first of `a || b` that has a value."""

        def found(match):
            names = [name.strip() for name in match[1].split("||")]
            return next(self.values[name] for name in names if self.values.get(name))

        return re.sub(r"\$\{\{(.*?)\}\}", found, text)

    def close(self):
        self.server.close()


@pytest.fixture
def github(settings):
    with samples.issuer() as found:
        settings.PIPELINE_ISSUER = found.url
        provider.forget()
        yield found
    provider.forget()


@pytest.fixture
def model(alice):
    return new_model(alice)


@pytest.fixture
def pipeline(github, alice, bob, carol, model):
    return samples.let_in(
        "extract-release", requester=alice, approver=carol, team=alice.team,
        pushers=[samples.pusher(bob)], models=[model.name],
    )  # fmt: skip


@pytest.fixture
def job(cli, wire, github, pipeline, model, monkeypatch, tmp_path, capsys, store, settings):
    """A job of the workflow that publishes, with a worker that does its part when it is waited
    for.
    """
    monkeypatch.delenv("QUARTERMASTER_TOKEN")
    for name, value in github.environment().items():
        monkeypatch.setenv(name, value)
    facts = Facts(github.url, "cli", "api", settings.PIPELINE_AUDIENCE)
    monkeypatch.setattr(Provider, "facts", lambda self, portal: facts)
    monkeypatch.setenv("QUARTERMASTER_AUDIENCE", settings.PIPELINE_AUDIENCE)
    monkeypatch.setattr(
        session, "PipelineTokens", lambda *words: PipelineTokens(*words, transport=wire)
    )
    monkeypatch.setattr(watching.waits, "until", lambda *_: _worker(store, settings))
    github.says = {"actor": "octo-bob", "actor_id": "102"}
    (tmp_path / "model").mkdir()
    for name, body in folder(README__md=CARD).items():
        (tmp_path / "model" / name).write_bytes(body)
    made = Job(FOLDER / "publish-model.yml", tmp_path, {
        "vars.QUARTERMASTER_URL": PORTAL, "vars.QUARTERMASTER_MODEL": model.name,
        "github.event.head_commit.message": "Train on the new forms\n\nWith $(touch pwned) `id`",
    })  # fmt: skip
    here = threading.get_ident()

    def command(words):
        assert threading.get_ident() == here
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        code = run(words)
        said = capsys.readouterr()
        return {"code": code, "out": said.out, "err": said.err}

    made.command = command
    yield made
    made.close()


def _worker(store, settings):
    """Look again and again; between two looks the worker does its part."""
    for _ in range(4):
        yield
        verify_all(store, settings)
        for found in EvalRun.objects.filter(status="PENDING"):
            rows = EvalRun.objects.filter(pk=found.pk)
            rows.update(status="STARTING")
            rows.update(status="RUNNING")
            rows.update(
                status="PASSED", metrics={"f1": 0.9, "ttft_p95_ms": 420.0}, engine="vllm 0.32.0",
                report_digest="sha256:" + "e" * 64, finished_at=timezone.now(),
            )  # fmt: skip


@pytest.mark.django_db
@pytest.mark.usefixtures("s3_server")
class TestPublishModel:
    def test_goes_from_a_push_to_a_proposal(self, job, model, bob):
        promoted.suite()
        for name, (code, out, err) in job.steps():
            assert code == 0, (name, out, err)
        proposed = Promotion.objects.get()
        assert proposed.model_version.registered_model == model
        assert proposed.model_version.note == "Train on the new forms"
        assert proposed.requested_by.acts_for == bob
        assert proposed.requested_by.person == bob.person
        assert proposed.justification.startswith(f"Commit {'c' * 40} of meridian/extract-models.")
        assert "is proposed as promotion" in job.summary.read_text()
        assert not (job.place / "pwned").exists()
        (propose,) = [step for step in job.job["steps"] if step["name"] == "Propose"]
        code, _, err = job.run(propose)
        assert (code, "quartermaster: " in err) == (6, True), "a refusal ends the step"

    def test_asks_for_no_token_that_is_meant_for_somebody_else(self, job, monkeypatch):
        facts = Facts("", "cli", "api", "sts.amazonaws.com")
        monkeypatch.setattr(Provider, "facts", lambda self, portal: facts)
        for named in ("http://testserver", ""):
            monkeypatch.setenv("QUARTERMASTER_AUDIENCE", named)
            found = job.command(["whoami"])
            assert (found["code"], "'sts.amazonaws.com'" in found["err"]) == (3, True)

    @pytest.mark.parametrize(
        ("says", "words"),
        [
            (
                {"repository": "mallory/extract-models", "repository_id": "9"},
                "The token is of mallory",
            ),
            ({"event_name": "pull_request", "head_ref": "patch-1"}, "may come from a fork"),
            ({"ref": "refs/heads/other"}, "the rule names refs/heads/main"),
            ({"actor": "mallory", "actor_id": "666"}, "does not say who that is"),
            ({"exp": 1_700_000_300, "iat": 1_700_000_000}, "The token has expired"),
            ({"jti": "the-same"}, "has signed a run in already"),
        ],
    )
    def test_ends_at_its_first_step_with_why(self, job, github, says, words):
        github.says = github.says | says
        if "jti" in says:  # somebody took the token and was faster
            assert job.command(["whoami"])["code"] == 0
        first = next(job.steps())
        code, _, err = first[1]
        assert (first[0], code) == ("Look whom the portal takes this run for", 3)
        assert words in err
