"""One stack for the whole folder, or for each worker: what `make up` runs, on ports and in a folder
of its own.

STORY_STATE=DIR attaches to a stack that runs already, for quick work on the tests; it is left as it
is. The folder's tests come last and in a fixed order, for they share the stack: the story first, on
an untouched one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.local import platform
from deploy.local.engine.launcher import NoEngine, choose_engine
from deploy.local.stack.testing import Stack, running_stack

HERE = Path(__file__).parent
UNTIL_LEFT = pytest.StashKey[ExitStack]()  # what ends when the folder's tests are done
# The helpers assert, and should say what they saw.
pytest.register_assert_rewrite(
    *(f"tests.story.{path.stem}" for path in HERE.glob("[!t]*.py") if path != Path(__file__))
)

from tests.chromium import running_browser  # noqa: E402
from tests.story.watch import Watch  # noqa: E402

ORDER = (
    "test_story.py", "test_gate.py", "test_capacity.py", "test_credentials.py", "test_stops.py",
    "test_trouble.py", "test_nodes.py", "test_node_times.py", "test_sleep.py", "test_chaos.py",
    # last: it leaves versions that were evaluated, and serve, with two GPUs
    "test_scaling.py",
)  # fmt: skip
PATIENCE = {"stand-in": 240.0, "vllm": 1200.0}
# A killed worker's rows are due again, and a replaced version goes, while a test waits.
HURRY = {"RECONCILE_LEASE_SECONDS": "20", "ROLLOUT_RETIRE_AFTER_SECONDS": "20"}
# A version that sleeps does so soon after its last call.
HURRY |= {
    "SCALING_POLL_SECONDS": "2",
    "SCALING_WINDOW_SECONDS": "6",
    "SCALING_COOLDOWN_SECONDS": "6",
}
HURRY |= {"SCALING_RETRY_AFTER_SECONDS": "3"}
# A second replica starts soon after its load was measured.
HURRY |= {"METRICS_INTERVAL_SECONDS": "5"}
# What was short is tried again soon.
HURRY |= {"SHORTAGE_HIDDEN": "10s"}
HURRY |= {"ROLLOUT_LOOK_SECONDS": "5", "ROLLOUT_HOLD_SECONDS": "5"}
# One browser's sign-in does for a test, however long that takes.
HURRY |= {"STEP_UP_SECONDS": "7200"}
# The stand-in is ready in seconds, so a load that takes too long need not take half an hour.
HURRY_OF = {"stand-in": {"SERVING_START_SECONDS": "15"}, "vllm": {}}
# seconds until every part is up; building their programs takes 50 CPU-minutes
STARTING, BUILDING = 600, 5400


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put this folder's tests in their order: at the end, so that the stack lives only while they
    run.

    With several workers they come first: they wait more than they compute, and the others run
    beside them.
    """
    ours = sorted((item for item in items if item.path.parent == HERE), key=_place)
    rest = [item for item in items if item.path.parent != HERE]
    items[:] = ours + rest if hasattr(config, "workerinput") else rest + ours


def _place(item: pytest.Item) -> tuple[object, ...]:
    """Return where a test comes: by engine, file, line, then as its parameters are written."""
    call: Any = getattr(item, "callspec", None)
    engine = list(PATIENCE).index(call.params["engine"]) if call else 0
    return (
        engine,
        ORDER.index(item.path.name),
        item.location[1] or 0,
        tuple(call.indices.values()) if call else (),
    )


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(name, marks=getattr(pytest.mark, "vllm" if name == "vllm" else "stack"))
        for name in PATIENCE
    ],
)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that serves: the labeled stand-in, or real vLLM where it is installed."""
    return str(request.param)


@pytest.fixture(scope="session")
def patience(engine: str) -> float:
    """Seconds that one slow thing may take: loading weights, a node, an evaluation."""
    return PATIENCE[engine]


@pytest.fixture(scope="session")
def stack(
    engine: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """A running stack with its sample data."""
    attached = os.environ.get("STORY_STATE", "")
    if attached:
        yield Stack(Path(attached))
        return
    try:
        choose_engine(os.environ | {"ENGINE": engine})
    except NoEngine as reason:
        pytest.skip(str(reason))
    to_build = platform.missing(os.environ)
    with ExitStack() as until_left:
        request.config.stash[UNTIL_LEFT] = until_left
        state = tmp_path_factory.mktemp("story") / "state"
        running = until_left.enter_context(
            running_stack(state, env={"ENGINE": engine, **HURRY, **HURRY_OF[engine]})
        )
        running.wait_for(seconds=BUILDING if to_build else STARTING)
        yield running


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the stack with the last of its tests: a worker goes on with others, which it would take
    a part of the machine from.
    """
    until_left = item.config.stash.get(UNTIL_LEFT, None)
    if until_left is not None and (nextitem is None or nextitem.path.parent != HERE):
        until_left.close()


@pytest.fixture
def watch(stack: Stack) -> Iterator[Watch]:
    """Watches every browser of a test; at the end nothing may have been found."""
    seen = Watch(frozenset({stack.portal, stack.issuer}))
    yield seen
    assert seen.findings == []


@pytest.fixture
def browser() -> Iterator[object]:
    """A browser. It ends with the test: its event loop must not run beside tests of other kinds."""
    with running_browser() as running:
        yield running
