"""The local Vault for tests: the stack's own server and job, in a folder of the test."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.stack import vault
from deploy.local.stack.part import Context, NotReady, Part
from deploy.local.stack.ports import free_port

ROOT = Path(__file__).parents[2]


class Bao:
    """A stack's Vault that runs. address; token(who): the file of a process's token."""

    def __init__(self, context: Context) -> None:
        self.context, self.address = context, vault.address(context)
        self.server, self.job = vault.parts(context)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and run the job."""
        self.server.prepare()
        env = dict(self.server.env)
        with (self.context.state / "log").open("ab") as out:
            self.process = subprocess.Popen(self.server.command, env=env, stdout=out, stderr=out)
        _until_ready(self.server)
        self.run_job()

    def run_job(self) -> None:
        """Run the job as the stack does."""
        env = dict(self.job.env) | {"PATH": "/usr/bin:/bin"}
        done = subprocess.run(self.job.command, env=env, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        """End the server as the stack does, or as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def token(self, who: str) -> Path:
        """Return the file of a process's token."""
        return vault.token_file(self.context, who)


@contextmanager
def running(state: Path) -> Iterator[Bao]:
    """Run the server over `state`, with keys and tokens."""
    ports: dict[str, int] = {}
    context = Context(
        root=ROOT,
        state=state,
        binaries=state,
        python=sys.executable,
        ports=lambda name, preferred: ports.setdefault(name, free_port()),
        env={},
    )
    bao = Bao(context)
    try:
        bao.start()
        yield bao
    finally:
        bao.stop()


def _until_ready(part: Part) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            return part.ready()
        except NotReady:
            if time.monotonic() > until:
                raise
        time.sleep(0.05)
