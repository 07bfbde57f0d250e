"""Stands between us and a server: starts it, and ends it when we are gone, however we went.

Run as a script of its own (``python -I -S guardian.py``), so that it imports nothing of the application. Standard input
is a pipe that its starter holds open: end of file there means that the starter is dead. The kernel's own parent-death
signal would not do for this part, because it follows the starting *thread*, not the process.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
GRACE_SECONDS = 10
SERVER_UID = 1000


def main(arguments: list[str]) -> int:
    """Run ``arguments[2:]``; ``[0]`` is the signal that stops it, ``[1]`` a folder to remove if the starter dies."""
    stop_signal, folder, *command = arguments
    if os.geteuid() == 0:
        _appear_unprivileged()
    server = os.fork()
    if server == 0:
        _become(command)
    os.write(1, b"%d\n" % server)
    os.dup2(2, 1)
    pidfd = os.pidfd_open(server)
    ready, _, _ = select.select([0, pidfd], [], [])
    if pidfd not in ready:
        _end(server, pidfd, int(stop_signal))
        shutil.rmtree(folder, ignore_errors=True)
    _, status = os.waitpid(server, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _appear_unprivileged() -> None:
    """PostgreSQL refuses to run as root; in a user namespace of its own it sees an ordinary user."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "root cannot be mapped to an ordinary user here (user namespaces are off)")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{SERVER_UID} {uid} 1"),
        ("gid_map", f"{SERVER_UID} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs start-up time
            file.write(text)


def _become(command: list[str]) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
        os._exit(127)


def _end(server: int, pidfd: int, stop_signal: int) -> None:
    os.kill(server, stop_signal)
    os.kill(server, signal.SIGCONT)
    if not select.select([pidfd], [], [], GRACE_SECONDS)[0]:
        os.kill(server, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
