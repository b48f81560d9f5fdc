"""A slow link: an OpenSSH server of our own on loopback, behind a proxy that takes its time."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PRIVILEGE_FOLDER = Path("/run/sshd")
"""Without it sshd does not start as root."""


def sshd_path() -> str | None:
    """The OpenSSH server (on Debian in the package openssh-server), or None."""
    return shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class SlowProxy:
    """Forwards TCP connections to a port of loopback, what comes from there at a given rate.

    Args:
        to_port: Where to.
        bytes_per_s: How much of what comes from there is let through; None for all at once.
    """

    def __init__(self, to_port: int, bytes_per_s: float | None) -> None:
        self._to_port, self._rate = to_port, bytes_per_s
        self._open = threading.Event()
        self._open.set()
        self.let_through = 0
        """Bytes from there so far."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    def stall(self) -> None:
        """Let nothing through any more that comes from there."""
        self._open.clear()

    def resume(self) -> None:
        """End a stall."""
        self._open.set()

    def close(self) -> None:
        """End all connections."""
        self._open.set()
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _start(self, work: object, *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()  # type: ignore[arg-type]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to_port))
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [near, far]
                self._start(self._send, near, far)
                self._start(self._answer, far, near)

    def _send(self, source: socket.socket, target: socket.socket) -> None:
        """What the user types, as it comes."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _answer(self, source: socket.socket, target: socket.socket) -> None:
        """Each piece arrives once the link has had the time for its bytes."""
        free_at = time.monotonic()
        with contextlib.suppress(OSError):
            while data := source.recv(512 if self._rate else 65536):
                if self._rate:
                    free_at = max(free_at, time.monotonic()) + len(data) / self._rate
                    time.sleep(max(0.0, free_at - time.monotonic()))
                self._open.wait()
                target.sendall(data)
                self.let_through += len(data)
            target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class Link:
    """A way to a server."""

    ssh: list[str]
    """The beginning of the ssh command that reaches it."""
    proxy: SlowProxy


@contextlib.contextmanager
def slow_ssh(folder: Path, bytes_per_s: float | None) -> Iterator[Link]:
    """Run a server for the time being, behind a link of that speed (None: as fast as it goes).

    Raises:
        RuntimeError: there is no server, or it does not come up.
    """
    server = sshd_path()
    if server is None:
        raise RuntimeError("there is no sshd (package openssh-server)")
    for name in ("host", "user"):
        key = folder / name
        if not key.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True
            )
    port = _free_port()
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\n"
    )
    if os.getuid() == 0:
        PRIVILEGE_FOLDER.mkdir(mode=0o755, exist_ok=True)
    log = folder / "sshd.log"
    process = subprocess.Popen([server, "-D", "-f", str(config), "-E", str(log)])
    proxy = SlowProxy(port, bytes_per_s)
    try:
        _wait_listening(port, process, log)
        ssh = [
            "ssh", "-tt", "-q", "-F", "none", "-i", str(folder / "user"), "-p", str(proxy.port),
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
            "-o", "Compression=no", f"{getpass.getuser()}@127.0.0.1",
        ]  # fmt: skip
        yield Link(ssh, proxy)
    finally:
        proxy.close()
        process.terminate()
        process.wait()


def remote(command: Sequence[str], env: Mapping[str, str | None], folder: Path) -> str:
    """A command with its environment, for the shell at the other end."""
    unset = [part for name, value in env.items() if value is None for part in ("-u", name)]
    given = [f"{name}={value}" for name, value in env.items() if value is not None]
    words = ["env", *unset, "LANG=C.UTF-8", "LC_ALL=C.UTF-8", *given, *command]
    return f"cd {shlex.quote(str(folder))} && exec {shlex.join(words)}"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    said = log.read_text() if log.exists() else ""
    raise RuntimeError(f"sshd does not come up: {said.strip() or 'it says nothing'}")
