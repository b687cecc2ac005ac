"""Puts faults to the tests, quickly: Django, the tests and the database are made ready once.

A warm process collects the tests of one module, runs them all once and notes which test enters
which function; what fails then (a busy machine, a broken test) is named, and judges nothing. For
every fault it forks; the child swaps the code of the one function, runs the tests that enter it and
stops at the first that fails. A fault in a constant is put in by its name; what that does not show,
and every other fault outside of a function, goes to a cold process that imports the module with the
fault in it. Each child has a copy of the database. Nothing is written to the working tree.
"""

import ast
import atexit
import gc
import importlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import psycopg
import pytest

from tests.mutants.operators import Mutant

ROOT = Path(__file__).parents[2]
ARGUMENTS = (
    "-q", "-s", "-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-seed=0",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # tests.environment is here already
)  # fmt: skip
AT_ONCE = 2
SURVIVED, KILLED = 0, 1
# Read once, before any fault; none of them reads settings. A cold process is then half as cold.
LIBRARIES = (
    "boto3", "celery", "cryptography.x509", "django.contrib.postgres.constraints",
    "django.core.management", "django.forms", "django.test.client", "factory.django", "httpx",
    "hypothesis.strategies", "joserfc.jwt", "kombu", "kubernetes.client", "redis", "yaml",
)  # fmt: skip
TEMPLATE = "mutants_template"
FOLDER = Path(tempfile.mkdtemp(prefix="qm-mutants-"))
LOG = FOLDER / "log"  # of the latest child
# Hypothesis keeps its examples there, not in the working tree.
os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(FOLDER)
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
Trees = Callable[[Mutant], ast.Module]


class BrokenTests(Exception):
    """No test passes without a fault: there is nobody to judge."""


@dataclass
class Baseline:
    """What the tests do without a fault: seconds of each, and those that enter a function."""

    seconds: dict[str, float] = field(default_factory=dict)
    entered_by: dict[str, list[str]] = field(default_factory=dict)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that may notice: all of them where the module itself changed."""
        if mutant.owner is None:
            return list(self.seconds)
        return self.entered_by.get(mutant.owner[0], [])

    def limit(self, tests: list[str]) -> float:
        """Return after how many seconds a child hangs: the fault made an endless loop."""
        return 20 + 5 * sum(self.seconds[test] for test in tests)


# -- databases -------------------------------------------------------------------------------------


def make_template() -> None:
    """Make a migrated database, as the tests have it, in a child of its own."""
    for name in LIBRARIES:
        importlib.import_module(name)

    def make() -> int:
        import django
        from django.conf import settings
        from django.db import connection
        from django.test.utils import setup_databases

        django.setup()
        from tests import database

        database.connect_as_owner()
        settings.DATABASES["default"]["TEST"]["NAME"] = TEMPLATE
        connection.settings_dict["TEST"]["NAME"] = TEMPLATE
        setup_databases(verbosity=0, interactive=False)
        return 0

    if _wait(_fork(make, quiet=False), 120) != 0:
        raise BrokenTests("The test database cannot be made.")


def _copy_database(name: str) -> None:
    owner = os.environ.get("MIGRATIONS_DATABASE_URL") or os.environ["DATABASE_URL"]
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')


def _use_database(name: str) -> None:
    """Let tests take this database as it is, where they would make one."""
    from django.conf import settings
    from django.db import connection
    from django.db.backends.base.creation import BaseDatabaseCreation

    def create(self: BaseDatabaseCreation, *_: object, **__: object) -> str:
        self.connection.close()
        settings.DATABASES[self.connection.alias]["NAME"] = name
        self.connection.settings_dict["NAME"] = name
        return name

    BaseDatabaseCreation.create_test_db = create
    BaseDatabaseCreation.destroy_test_db = lambda self, *_, **__: None
    if settings.configured and connection.settings_dict["NAME"] != name:
        connection.settings_dict["NAME"] = name


# -- children --------------------------------------------------------------------------------------


def _fork(work: Callable[[], int], *, quiet: bool) -> int:
    """Run `work` in a child that ends with its answer; return the child's process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        if quiet:
            log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
        code = work()
    except BaseException:
        traceback.print_exc()
        code = 3
    os._exit(code)


def _wait(pid: int, seconds: float) -> int:
    """Return how a child ended; one that hangs is ended, with all that it started."""
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return KILLED
        time.sleep(0.01)


# -- the warm process ------------------------------------------------------------------------------


class Warm:
    """A pytest plugin that takes the place of the run: all tests once, then one child per fault."""

    def __init__(self, module: str, mutants: list[Mutant], trees: Trees, told: int) -> None:
        self.module, self.mutants, self.trees, self.told = module, mutants, trees, told
        self.path = str(ROOT / module)
        self.failed: dict[str, str] = {}
        self.baseline = Baseline()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure, and what was not skipped."""
        if report.failed:
            self.failed[report.nodeid] = report.longreprtext
        elif report.when == "call" and report.passed:
            self.baseline.seconds[report.nodeid] = report.duration

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests, then all faults; say each answer as one JSON line."""
        entered: dict[str, list[str]] = defaultdict(list)
        items = {item.nodeid: item for item in session.items}
        for item, following in _pairs(list(items.values())):
            with _traced(self.path) as names:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            for name in names:
                entered[name].append(item.nodeid)
        for test in self.failed:  # a test that fails as it ends has passed before
            self.baseline.seconds.pop(test, None)
        known = self.baseline.seconds
        self.baseline.entered_by = {
            name: [test for test in tests if test in known] for name, tests in entered.items()
        }
        self._say({"failed": self.failed, "baseline": vars(self.baseline)})
        self._run_all(items)
        return True

    def _run_all(self, items: dict[str, pytest.Item]) -> None:
        from django.db import connections

        connections.close_all()  # a child must not share the parent's
        functions = _functions(self.path)
        running: dict[int, tuple[Mutant, int, float]] = {}
        slots = list(range(AT_ONCE))
        for mutant in self.mutants:
            tests = self.baseline.tests_of(mutant)
            if not tests:
                self._say({"key": mutant.key, "answer": SURVIVED})
                continue
            put_in = self._putting(mutant, functions)
            if put_in is None:
                self._say({"key": mutant.key, "answer": None})  # for a cold process
                continue
            while not slots:
                self._reap(running, slots)
            slot = slots.pop()
            _copy_database(f"mutants_{slot}")
            chosen = [items[test] for test in tests]
            pid = _fork(lambda: self._child(put_in, chosen, slot), quiet=True)  # noqa: B023
            limit = self.baseline.limit(tests)
            running[pid] = (mutant, slot, time.monotonic() + limit)
        while running:
            self._reap(running, slots)

    def _reap(self, running: dict[int, tuple[Mutant, int, float]], slots: list[int]) -> None:
        for pid, (mutant, slot, deadline) in list(running.items()):
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del running[pid]
                slots.append(slot)
                code = os.waitstatus_to_exitcode(status)
                answer = SURVIVED if code == SURVIVED else KILLED
                if answer == SURVIVED and mutant.owner is None:
                    answer = None  # a name may have been read before: for a cold process
                self._say({"key": mutant.key, "answer": answer})
        time.sleep(0.005)

    def _putting(
        self, mutant: Mutant, functions: dict[tuple[str, int], list[FunctionType]]
    ) -> Callable[[], None] | None:
        """Return what puts a fault into this very process; None where nothing can."""
        tree = self.trees(mutant)
        if mutant.owner is None:
            return _rebinding(tree, self.path)
        code = _code_of(mutant, compile(tree, self.path, "exec"))
        live = functions.get(mutant.owner, [])
        if not live or any(f.__code__.co_freevars != code.co_freevars for f in live):
            return None

        def put_in() -> None:
            for function in live:
                function.__code__ = code

        return put_in

    def _child(self, put_in: Callable[[], None], items: list[pytest.Item], slot: int) -> int:
        _use_database(f"mutants_{slot}")
        put_in()
        self.failed = {}
        try:
            for item, following in _pairs(items):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if self.failed:
                    return KILLED
            return SURVIVED
        finally:
            items[0].session._setupstate.teardown_exact(None)  # ends the servers of fixtures

    def _say(self, facts: dict[str, Any]) -> None:
        os.write(self.told, (json.dumps(facts) + "\n").encode())


def _pairs(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    yield from zip(items, [*items[1:], None], strict=True)


@contextmanager
def _traced(path: str) -> Iterator[set[str]]:
    """Collect the qualified names of the functions of a file that are entered."""
    names: set[str] = set()

    def trace(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_filename == path:
            names.add(frame.f_code.co_qualname)

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield names
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]


def _functions(path: str) -> dict[tuple[str, int], list[FunctionType]]:
    """Return the living functions of a file by qualified name and first line."""
    found: dict[tuple[str, int], list[FunctionType]] = defaultdict(list)
    for thing in gc.get_objects():
        if type(thing) is FunctionType and thing.__code__.co_filename == path:
            found[thing.__code__.co_qualname, thing.__code__.co_firstlineno].append(thing)
    return found


def _rebinding(tree: ast.Module, path: str) -> Callable[[], None] | None:
    """Return what gives a changed constant its new value wherever its name stands; None where no
    constant changed.
    """
    module = next(
        (m for m in list(sys.modules.values()) if getattr(m, "__file__", "") == path), None
    )
    before = ast.parse(Path(path).read_text()).body
    changed = [new for old, new in zip(before, tree.body, strict=False) if _differ(old, new)]
    if module is None or len(changed) != 1 or not isinstance(changed[0], ast.Assign):
        return None
    target, value = changed[0].targets[0], ast.Expression(changed[0].value)
    if not isinstance(target, ast.Name) or not hasattr(module, target.id):
        return None
    name, old = target.id, getattr(module, target.id)

    def put_in() -> None:
        new = eval(compile(value, path, "eval"), vars(module))  # noqa: S307 (our own source)
        for other in list(sys.modules.values()):
            if vars(other).get(name) is old:
                setattr(other, name, new)

    return put_in


def _differ(old: ast.stmt, new: ast.stmt) -> bool:
    return ast.dump(old) != ast.dump(new)


def _code_of(mutant: Mutant, code: CodeType) -> CodeType:
    """Return the code of the mutant's function within its module's."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if (inner.co_qualname, inner.co_firstlineno) == mutant.owner:
                return inner
            if (mutant.owner or ("", 0))[0].startswith(f"{inner.co_qualname}."):
                return _code_of(mutant, inner)
    raise LookupError(mutant.key)


# -- a module as a whole ---------------------------------------------------------------------------


def judge(
    module: str, stages: list[list[str]], mutants: list[Mutant], trees: Trees
) -> dict[str, bool | None]:
    """Return for each fault (by key) whether a test noticed it; None where no test reaches it.

    stages: test files, each tried on what those before did not notice. Raises BrokenTests where
    none passes as it is.
    """
    noticed: dict[str, bool | None] = dict.fromkeys(mutant.key for mutant in mutants)
    for files in stages:
        left = [mutant for mutant in mutants if not noticed[mutant.key]]
        found = _judge(module, files, left, trees) if left and files else {}
        noticed |= {key: answer for key, answer in found.items() if answer is not None}
    return noticed


def _judge(
    module: str, files: list[str], mutants: list[Mutant], trees: Trees
) -> dict[str, bool | None]:
    lines = _warm(module, files, mutants, trees)
    first = next(lines, None)
    if first is not None and not first["baseline"]["seconds"] and not first["failed"]:
        return {}  # all were skipped: they need what this machine lacks
    if first is None or not first["baseline"]["seconds"]:
        said = "\n".join(first["failed"].values()) if first else LOG.read_text()
        raise BrokenTests(f"{module}: no test passes without any fault.\n{said}")
    for test in first["failed"]:
        print(f"  {test} fails without any fault: it judges none", file=sys.stderr)
    baseline = Baseline(**first["baseline"])
    answers = {line["key"]: line["answer"] for line in lines}
    noticed: dict[str, bool | None] = {}
    for mutant in mutants:
        chosen = baseline.tests_of(mutant)
        answer = answers.get(mutant.key)
        if answer is None and chosen:
            answer = _cold(mutant, chosen, trees, baseline.limit(chosen))
        noticed[mutant.key] = answer == KILLED if chosen else None
    return noticed


def _warm(
    module: str, tests: list[str], mutants: list[Mutant], trees: Trees
) -> Iterator[dict[str, Any]]:
    heard, told = os.pipe()

    def run() -> int:
        os.close(heard)
        _use_database("mutants_first")
        return int(pytest.main([*ARGUMENTS, *tests], plugins=[Warm(module, mutants, trees, told)]))

    _copy_database("mutants_first")
    pid = _fork(run, quiet=True)
    os.close(told)
    with open(heard) as lines:
        yield from map(json.loads, lines)
    _wait(pid, 30)


def _cold(mutant: Mutant, tests: list[str], trees: Trees, limit: float) -> int:
    """Run the tests in a process that reads the module with the fault in it."""
    path = str(ROOT / mutant.module)
    name = mutant.module.removesuffix(".py").replace("/", ".")

    class Loader(SourceFileLoader):
        def get_code(self, fullname: str) -> CodeType:
            return compile(trees(mutant), path, "exec")

    class Finder:
        @staticmethod
        def find_spec(fullname: str, *_: object) -> ModuleSpec | None:
            if fullname != name:
                return None
            return importlib.util.spec_from_file_location(name, path, loader=Loader(name, path))

    def run() -> int:
        sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]
        _use_database("mutants_first")
        code = pytest.main([*ARGUMENTS, "-x", *tests])
        return SURVIVED if code == pytest.ExitCode.OK else KILLED

    _copy_database("mutants_first")
    return _wait(_fork(run, quiet=True), limit + 30)
