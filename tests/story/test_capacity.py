"""A pool is changed through review: asked for on its page, allowed by somebody else, committed
once, applied by the real Argo CD, and taken by the real Karpenter. The NodePool stays the same
object all the while.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from deploy.local.stack.testing import Stack
from tests.story.delivering import Desk, until
from tests.story.kubectl import kubectl, refusing
from tests.story.people import Person, person
from tests.story.test_credentials import client
from tests.story.watch import Watch

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.parametrize("engine", ["stand-in"], indirect=True),
]
POOL = "gpu-inference"
MONDAY = "No other limits on Monday"
WHY = "One more GPU for the claims team, until the end of the year."


def test_a_pool_changes_once_somebody_else_allowed_it(
    stack: Stack, browser: Browser, watch: Watch, patience: float, tmp_path: Path
) -> None:
    desk = Desk(stack, "pete", patience)
    before = until(
        lambda: pool_of(desk),
        lambda found: found and found["is_ready"],
        seconds=patience,
        what="the pool",
    )
    limit = before["settings"]["gpus"] + 1
    with client(stack.state / "cluster" / "kubeconfigs" / "portal", tmp_path) as cluster:
        uid = node_pool(cluster)["metadata"]["uid"]
        with person(browser, "pete", stack, watch, patience=patience) as pete:
            request = ask(pete, before["settings"]["gpus"], limit)
        with person(browser, "rita", stack, watch, patience=patience) as rita:
            with closed_on_monday(stack) as open_again:
                approve(rita, request)
                rita.sees(MONDAY)
                rita.shot("capacity-refused")
                open_again()
            expect(rita.badge()).to_have_text("Applied", timeout=patience * 1000)
            rita.sees("Karpenter says it is ready")
            rita.sees("Capacity change applied")
            commit = rita.fact("Commit")
            rita.shot("capacity-applied")
        found = node_pool(cluster)
    assert found["metadata"]["uid"] == uid
    assert found["spec"]["limits"]["nvidia.com/gpu"] == str(limit)
    assert commits_of(stack, request) == [commit]
    after = pool_of(desk)
    assert after is not None
    assert (after["revision"], after["commit"], after["open_request"]) == (
        before["revision"] + 1,
        commit,
        None,
    )
    assert after["settings"] == before["settings"] | {"gpus": limit}


def closed_on_monday(stack: Stack) -> AbstractContextManager[Callable[[], None]]:
    """Have the API server take no other limits of a NodePool; yield how to let it.

    Argo CD is refused when it compares already, and then never looks at the same commit again: the
    portal sees to it.
    """
    rule = {"apiGroups": ["karpenter.sh"], "operations": ["UPDATE"], "resources": ["nodepools"]}
    patch = json.dumps({"spec": {"limits": {"nvidia.com/gpu": "1"}}})
    words = ["patch", "nodepool", POOL, "--dry-run=server", "--type=merge", "-p", patch]
    tried = lambda: kubectl(stack, *words, check=False)  # noqa: E731
    return refusing(stack, rule, "object.spec.limits == oldObject.spec.limits", MONDAY, tried)


def pool_of(desk: Desk) -> dict[str, Any] | None:
    """Return the pool as the API tells it, or None while the portal has not found it in Git."""
    pools = {pool["pool"]: pool for pool in desk.get("/fleet/node-pools")["results"]}
    return pools.get(POOL)


def node_pool(cluster: httpx.Client) -> dict[str, Any]:
    """Return the NodePool that the real API server has."""
    return dict(cluster.get(f"/apis/karpenter.sh/v1/nodepools/{POOL}").raise_for_status().json())


def commits_of(stack: Stack, request: str) -> list[str]:
    """Return the commits of a request, wherever on the branch."""
    pk = request.rstrip("/").rpartition("/")[2]
    command = ["git", "log", "--format=%H", f"--grep=Quartermaster-Capacity-Request: {pk}", "main"]
    done = subprocess.run(
        command, cwd=stack.state / "gitops.git", capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def ask(pete: Person, before: int, limit: int) -> str:
    """Ask for another GPU limit; return the request's address. Whoever asks cannot decide."""
    pete.open("/fleet/capacity/")
    pete.shot("capacity-pools")
    pete.follow(re.compile(f"^Change {POOL}"))
    pete.fill("GPUs at most", str(limit))
    pete.fill("Why?", WHY)
    pete.shot("capacity-form")
    pete.press(f"Ask for this change of {POOL}")
    pete.page.wait_for_url(re.compile(r"/fleet/capacity-requests/[0-9a-f-]{36}/$"))
    expect(pete.badge()).to_have_text("Waiting for a decision")
    diff = pete.page.locator(".diff")
    expect(diff.locator(".diff-line.diff-del")).to_have_text(f"-    nvidia.com/gpu: '{before}'")
    expect(diff.locator(".diff-line.diff-add")).to_have_text(f"+    nvidia.com/gpu: '{limit}'")
    expect(pete.page.get_by_role("button", name=re.compile("^Approve"))).to_have_count(0)
    return pete.page.url.removeprefix(pete.stack.portal)


def approve(rita: Person, request: str) -> None:
    """Find the request among what waits, see what it may cost, and approve it."""
    rita.open("/")
    rita.page.get_by_role("link", name=re.compile(f"Decide on a change of {POOL}")).first.click()
    expect(rita.page).to_have_url(rita.stack.portal + request)
    assert re.match(r"\+\$[\d.,]+ per hour", rita.fact("Difference"))
    rita.sees("No node would drift")
    rita.shot("capacity-request")
    rita.fill("Reason", "The budget has room for it.")
    rita.press("Approve and commit this change")
