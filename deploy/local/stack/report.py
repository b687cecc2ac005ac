"""What people see of a stack: the lines of `make up`, `make status` with each part's share of
memory and CPU.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from . import board as b
from . import processes
from .processes import Running
from .supervisor import supervisor_pid

MARKS = {
    b.READY: "●",
    b.DONE: "✓",
    b.REPLACED: "→",
    b.FAILED: "✗",
    b.UNHEALTHY: "!",
    b.STOPPED: "-",
}


def read_status(state: Path) -> dict[str, Any] | None:
    """Return what the supervisor last wrote, None where there is nothing readable."""
    try:
        status: dict[str, Any] = json.loads((state / "status.json").read_text())
    except (OSError, ValueError):
        return None
    return status


def line_of(part: dict[str, Any]) -> str:
    """Return one part as `make up` prints it."""
    took = f"  after {part['ready_after']:.1f} s" if part["ready_after"] else ""
    text = (
        f"  {MARKS.get(part['state'], '·')} {part['name']:<30} {part['state']:<10} "
        f"{part['address']}"
    )
    detail = f"  ({part['detail']})" if part["detail"] else ""
    return f"{text}{took}{detail}"


def not_up(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parts that do not work yet."""
    return [part for part in status["parts"] if part["state"] not in b.UP]


def measured(status: dict[str, Any], window: float) -> dict[str, Any]:
    """Return the status with each running part's PSS (bytes), processes and CPU share over `window`
    seconds.

    A share of 1 is one core. The supervisor itself is one of the lines. Memory is read at the end
    of the window.
    """
    groups = {
        part["name"]: _family(part["pid"], part["started"])
        for part in status["parts"]
        if part["pid"]
    }
    groups["supervisor"] = [psutil.Process(status["pid"])]
    before, began = {name: _cpu(family) for name, family in groups.items()}, time.monotonic()
    time.sleep(window)
    elapsed = time.monotonic() - began
    supervisor = asdict(b.Line("supervisor", b.READY, pid=status["pid"], started=status["started"]))
    parts = []
    for part in [*status["parts"], supervisor]:
        family = groups.get(part["name"], [])
        share = max(0.0, _cpu(family) - before.get(part["name"], 0.0)) / elapsed
        parts.append(part | {"pss": _pss(family), "cpu": round(share, 4), "processes": len(family)})
    total = {
        "pss": sum(part["pss"] for part in parts),
        "cpu": round(sum(part["cpu"] for part in parts), 4),
    }
    return status | {"parts": parts, "total": total, "window": round(elapsed, 1)}


def _family(pid: int, started: float) -> list[psutil.Process]:
    """Return a part's processes: its session and every descendant, engines of the kubelet
    included.
    """
    found = {process.pid: process for process in processes.session(Running("", pid, started))}
    with contextlib.suppress(psutil.Error):
        found |= {child.pid: child for child in psutil.Process(pid).children(recursive=True)}
    return list(found.values())


def _cpu(family: Iterable[psutil.Process]) -> float:
    total = 0.0
    for process in family:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _pss(family: Iterable[psutil.Process]) -> int:
    total = 0
    for process in family:
        with contextlib.suppress(psutil.Error, OSError):
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            total += sum(
                int(line.split()[1]) * 1024
                for line in rollup.splitlines()
                if line.startswith("Pss:")
            )
    return total


def table(status: dict[str, Any]) -> str:
    """Return `make status` for people."""
    lines = [
        f"  {'part':<30} {'state':<10} {'PSS':>8} {'CPU':>6}  {'pid':>8}  {'up':>8}  "
        f"{'again':>5}  address"
    ]
    for part in status["parts"]:
        pss = f"{part['pss'] / 1e6:.0f} MB" if part["pss"] else ""
        cpu = f"{part['cpu']:.1%}" if part["pid"] else ""
        up = duration(time.time() - part["started"]) if part["pid"] else ""
        pid, again = part["pid"] or "", part["restarts"] or ""
        row = (
            f"{part['name']:<30} {part['state']:<10} {pss:>8} {cpu:>6}  {pid:>8}  {up:>8}  "
            f"{again:>5}"
        )
        lines.append(f"{MARKS.get(part['state'], '·')} {row}  {part['address']}".rstrip())
        lines += _why(part)
    total = status["total"]
    row = f"{'total':<30} {'':<10} {total['pss'] / 1e6:>5.0f} MB {total['cpu']:>6.1%}"
    lines.append(f"  {row}  of one core, over {status['window']} s")
    return "\n".join(lines)


def _why(part: dict[str, Any]) -> list[str]:
    lines = [f"      {part['detail']}"] if part["detail"] else []
    if part["restarts"] and part["state"] not in b.UP:
        lines += [f"      │ {text}" for text in part["last_log"]]
    return lines


def duration(seconds: float) -> str:
    """Return a short duration: 42 s, 5 min, 3 h 20 min, 2 d 4 h."""
    seconds = max(0, int(seconds))
    days, hours, minutes = seconds // 86400, seconds % 86400 // 3600, seconds % 3600 // 60
    if seconds < 60:
        return f"{seconds} s"
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} m" if hours else f"{minutes} min"


def is_running(state: Path) -> bool:
    """Return whether a supervisor holds this state folder."""
    return supervisor_pid(state) is not None
