"""A network and a file tree of their own for the check: what it binds, mounts and names, nobody
else sees.

The gateway's programs listen on fixed ports of every address, read `/certs` and `/sds`, and call
each other by cluster names. In namespaces of Linux all of that is free, without root: names are
lines of a private /etc/hosts, and every process ends with the check.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ENTER = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
]
INSIDE = "QUARTERMASTER_REAL_GATEWAY_ROOT"
BRIDGE, NODE = "cluster", "10.96.0.1"  # the API server's certificate is good for this address
# Of /etc only what programs need to run and to find names; the real one is never written.
ETC = (
    "alternatives",
    "group",
    "host.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "passwd",
    "ssl",
)


def enter(module: str, root: Path) -> int:
    """Run `python -m module` again inside; return its exit code. root: an empty folder for the file
    tree.
    """
    environment = os.environ | {INSIDE: str(root)}
    return subprocess.run(
        [*ENTER, sys.executable, "-m", module], env=environment, check=False
    ).returncode


def is_inside() -> bool:
    """Tell whether this process was started by `enter`."""
    return INSIDE in os.environ


def settle(hosts: dict[str, str]) -> None:
    """Make the private file tree this process's own, with these names (name → address), and switch
    loopback on.
    """
    root, here = Path(os.environ[INSIDE]), Path.cwd()
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "name", BRIDGE, "type", "bridge")
    _run("ip", "address", "add", f"{NODE}/16", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    _run("mount", "-t", "tmpfs", "root", str(root))
    for entry in Path("/").iterdir():
        _take_over(entry, root / entry.name)
    lines = [
        "127.0.0.1 localhost\n",
        *(f"{address} {name} {name}.\n" for name, address in hosts.items()),
    ]
    (root / "etc" / "hosts").write_text("".join(lines))
    (root / "etc" / "nsswitch.conf").write_text("hosts: files\npasswd: files\ngroup: files\n")
    _run("mount", "-t", "proc", "proc", str(root / "proc"))
    os.chroot(root)
    os.chdir(here)


def _take_over(entry: Path, target: Path) -> None:
    if entry.is_symlink():
        target.symlink_to(entry.readlink())
    elif entry.name == "etc":
        target.mkdir()
        _run(
            "cp", "-r", *(str(entry / name) for name in ETC if (entry / name).exists()), str(target)
        )
    elif entry.is_dir():
        target.mkdir()
        if entry.name != "proc":
            _run("mount", "--rbind", str(entry), str(target))


def as_pod(name: str, address: str, folders: dict[str, Path], command: list[str]) -> list[str]:
    """Return the command that runs like a pod: an address of its own, and these folders at their
    places.
    """
    network = [
        "ip link set lo up",
        f"ip link add eth0 type veth peer name {name} netns 1",
        f"nsenter --net --target 1 ip link set {name} master {BRIDGE} up",
        f"ip address add {address}/16 dev eth0",
        "ip link set eth0 up",
    ]
    return ["unshare", "--net", *_with(network, folders, command)[1:]]


def with_folders(folders: dict[str, Path], command: list[str]) -> list[str]:
    """Return the command that sees these folders at their places (place → folder), as a container
    its volumes.
    """
    return _with([], folders, command)


def _with(before: list[str], folders: dict[str, Path], command: list[str]) -> list[str]:
    for place in folders:
        Path(place).mkdir(parents=True, exist_ok=True)
    binds = [f"mount --bind {folder} {place}" for place, folder in folders.items()]
    return [
        "unshare",
        "--mount",
        "sh",
        "-ec",
        "\n".join([*before, *binds, 'exec "$@"']),
        "sh",
        *command,
    ]


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
