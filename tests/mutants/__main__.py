"""`make mutants`: would the tests notice? Small faults are put into the core, one at a time.

A seeded sample of each module's faults (operators.py) is put to the module's own tests, and what
they do not notice to the other tests of their folder; what no test notices is listed. Fails below
90 % in a module or 95 % over all. `MODULES=` names modules (globs), `SAMPLE=` how many faults of
each (0: all), `SEED=` another sample.

Why one of our own: mutmut changes no decorated function, and nearly every write of ours is an
`@transaction.atomic` one; Cosmic Ray rewrites files in the working tree and starts tests from cold
for each fault (8 s here, 0.3 s this way). Neither can drop a condition of a query.
"""

import argparse
import hashlib
import sys
import time
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import tests.environment  # noqa: F401 (starts the database)
from tests.benchmarks.report import Result, show
from tests.mutants import operators, runner
from tests.mutants.core import CORE
from tests.mutants.equivalents import EQUIVALENT
from tests.mutants.operators import Mutant
from tests.mutants.runner import ROOT

GOAL_OF_A_MODULE = 90.0
GOAL_OVER_ALL = 95.0


def core_modules(wanted: list[str]) -> list[str]:
    """Return the modules of the core, by path, that fit one of the globs (all: an empty list)."""
    found = sorted({str(p.relative_to(ROOT)) for glob in CORE for p in ROOT.glob(glob)})
    found = [path for path in found if not path.endswith("__init__.py")]
    return [p for p in found if not wanted or any(fnmatch(p, glob) for glob in wanted)]


def tests_of(module: str) -> list[list[str]]:
    """Return the test files beside a module, by the mirror of the tree: its own, and the others."""
    folder = ROOT / "tests" / Path(module).parent.relative_to("apps")
    while not folder.exists():
        folder = folder.parent
    files = [str(path.relative_to(ROOT)) for path in sorted(folder.glob("test_*.py"))]
    own = [file for file in files if Path(file).stem.startswith(f"test_{Path(module).stem}")]
    return [own, [file for file in files if file not in own]]


def sample(found: list[Mutant], size: int, seed: int) -> list[Mutant]:
    """Return `size` faults (0: all), without the equivalent ones. A seed picks the same ones while
    other lines of the module change.
    """
    known = EQUIVALENT.get(found[0].module, {}) if found else {}
    real = [mutant for mutant in found if mutant.key not in known]

    def rank(mutant: Mutant) -> str:
        return hashlib.sha256(f"{seed}:{mutant.module}:{mutant.key}".encode()).hexdigest()

    return sorted(sorted(real, key=rank)[: size or None], key=lambda m: m.number)


def main() -> int:
    """Judge the chosen modules; return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="globs of paths; all of the core by default")
    parser.add_argument("--sample", type=int, default=25, help="faults of each module; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    runner.make_template()
    required = operators.required_keywords(p.read_text() for p in ROOT.glob("apps/**/*.py"))
    results, killed, put = [], 0, 0
    for module in core_modules(chosen.modules):
        source = (ROOT / module).read_text()
        faults = sample(operators.mutants(module, source, required), chosen.sample, chosen.seed)
        if not faults:
            continue
        began = time.monotonic()
        trees = partial(operators.mutated, source=source, required=required)
        noticed = runner.judge(module, tests_of(module), faults, trees)
        _show_survivors(faults, noticed, time.monotonic() - began)
        good = sum(bool(answer) for answer in noticed.values())
        killed, put = killed + good, put + len(faults)
        results.append(_result(f"{module} ({good} of {len(faults)})", good, len(faults)))
    results.append(_result(f"over all ({killed} of {put})", killed, put, GOAL_OVER_ALL))
    show("mutants", results)
    return 0 if all(result.meets_its_goal for result in results) else 1


def _result(name: str, killed: int, put: int, goal: float = GOAL_OF_A_MODULE) -> Result:
    share = round(100 * killed / put, 1) if put else 100.0
    return Result(name=name, value=share, unit="%", goal=goal, better="higher")


def _show_survivors(faults: list[Mutant], noticed: dict[str, bool | None], took: float) -> None:
    module = faults[0].module
    print(f"{module}: {len(faults)} faults in {took:.0f} s", file=sys.stderr, flush=True)
    for fault in faults:
        if not noticed[fault.key]:
            why = "unnoticed" if noticed[fault.key] is False else "no test enters"
            print(f"  {module}:{fault.line}: {why}: {fault.key}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
