"""Runs a program that refuses to run as root, as PostgreSQL does: `python unprivileged.py COMMAND
…`.

As an ordinary user it just runs it. As root it enters a user namespace in which root is called by
another number: the program sees an ordinary user, and its files stay root's, in folders that nobody
else may enter. Where namespaces are not allowed it becomes the user `nobody`; the files then belong
to that user, and the folders above must let it through.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000


def can_enter_namespace() -> bool:
    """Return whether this machine lets root make a user namespace, tried in a child process."""
    child = os.fork()
    if child == 0:
        os._exit(0 if _enter_namespace(65534) else 1)
    return os.waitpid(child, 0)[1] == 0


def _enter_namespace(uid: int) -> bool:
    """Let this process see its user 0 as `uid`. The number must have a name: initdb looks it up."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} 0 1")
        Path("/proc/self/gid_map").write_text(f"{uid} 0 1")
    except OSError:
        return False
    return True


def give_to_nobody(folder: Path, state: Path) -> None:
    """Make a folder belong to `nobody`, and let that user through the state folder (not read
    it).
    """
    nobody = pwd.getpwnam("nobody")
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    state.chmod(state.stat().st_mode | 0o011)


def main() -> None:
    """Replace this process by the command."""
    command = sys.argv[1:]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        if not (can_enter_namespace() and _enter_namespace(nobody.pw_uid)):
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
    os.execvp(command[0], command)  # noqa: S606 (that is what this program is for)


if __name__ == "__main__":
    main()
