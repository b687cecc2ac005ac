"""`python -m deploy.local.stack.installed`: asks after installing whether each part that comes from
a wheel can start, and says what to do where one cannot.

The Go programs are not asked: they are built later, and `make status` tells of them.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import postgres, valkey, vault
from .part import NotReady

ANSWERS_WITHIN_SECONDS = 30  # the disk may be cold
POSTGRES = ("postgres", "initdb", "psql", "createdb")


class CannotStart(Exception):
    """A part lacks something; the message says what, in one line."""


@dataclass(frozen=True)
class Check:
    """What one part needs from the wheels.

    ask: raises where the part cannot have it.
    replaced_by: the variable that points at a real part; where it is set, nothing is asked.
    """

    part: str
    ask: Callable[[], None]
    replaced_by: str = ""


def checks() -> list[Check]:
    """Return what is asked of each part: its program answers, its modules can be imported."""
    # what of the product is compiled; the rest of it is plain Python
    product = ("granian.cli", "psycopg", "cel_expr_python.cel", "cryptography.x509")
    return [
        Check("postgres", _postgres_answers, "DATABASE_URL"),
        Check("valkey", lambda: answers(valkey.program()), "REDIS_URL"),
        Check("vault", lambda: answers(vault.program()), "VAULT_ADDR"),
        Check("envoy", _envoy_answers, "GATEWAY_URL"),
        Check("gateway-control", partial(imports, "deploy.local.gateway.control")),
        Check("idp", partial(imports, "deploy.local.doubles.idp.app"), "OIDC_ISSUER"),
        Check("inbox", partial(imports, "deploy.local.doubles.mail.__main__"), "MAIL_URL"),
        Check("kubelet", partial(imports, "deploy.local.kubelet.kubelet"), "KUBECONFIG"),
        Check("engine", partial(imports, "deploy.local.engine.stand_in.server")),
        Check("sample-weights", _sample_weights),
        Check("portal", partial(imports, *product)),
    ]


def problems(asked: list[Check], env: Mapping[str, str]) -> list[tuple[Check, str]]:
    """Return each check that fails with the reason, in the order given."""
    found = []
    for check in asked:
        if env.get(check.replaced_by):
            continue
        try:
            check.ask()
        # whatever an import raises, people shall read which part it stops
        except Exception as error:
            named = isinstance(error, CannotStart | NotReady | FileNotFoundError)
            found.append((check, str(error) if named else f"{type(error).__name__}: {error}"))
    return found


def answers(program: Path) -> None:
    """Raise CannotStart unless the program answers `--version`."""
    try:
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, errors="replace",
            check=False, timeout=ANSWERS_WITHIN_SECONDS,
        )  # fmt: skip
    except OSError as error:  # missing, not executable, or made for another machine
        raise CannotStart(f"{program}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise CannotStart(f"{program} gave no answer in {ANSWERS_WITHIN_SECONDS} s") from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise CannotStart(f"{program} was ended by {name}")
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CannotStart(f"{program}: {said[-1] if said else f'exit code {done.returncode}'}")


def imports(*modules: str) -> None:
    """Raise what one of the modules raises when it is imported."""
    for module in modules:
        importlib.import_module(module)


def _postgres_answers() -> None:
    for name in POSTGRES:
        answers(postgres.programs() / name)


def _envoy_answers() -> None:
    # not at the top: what it imports is what another check asks for
    from deploy.local.gateway.parts import envoy_program

    answers(envoy_program())


def _sample_weights() -> None:
    from deploy.local.engine.sample import gguf_file

    gguf_file()


def advice(found: list[tuple[Check, str]]) -> str:
    """Return what is wrong and what to do about it."""
    machine = " ".join(filter(None, (platform.system(), platform.machine(), *platform.libc_ver())))
    lines = ["Installed, but these parts cannot start:"]
    lines += [f"  {check.part}: {reason}" for check, reason in found]
    lines += [
        "A file may be missing, or another may have taken its place. Remove .venv and run the same",
        f"command again. If it says the same, that wheel does not run on this machine ({machine}).",
    ]
    instead = sorted({check.replaced_by for check, _ in found if check.replaced_by})
    if instead:
        lines.append(
            f"Parts can run elsewhere: set {' and '.join(instead)}, and they are not started here."
        )
    return "\n".join(lines)


def main() -> int:
    """Return 1 and say what to do where a part cannot start."""
    faulthandler.enable()  # a wheel for another processor ends this process: show at which import
    found = problems(checks(), os.environ)
    if found:
        print(advice(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
