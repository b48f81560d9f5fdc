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
from pathlib import Path

PRIVILEGE_FOLDER = Path("/run/sshd")
"""Without it sshd does not start as root."""


def sshd_path() -> str | None:
    """The OpenSSH server (on Debian in the package openssh-server), or None."""
    return shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class SlowProxy:
    """Forwards TCP connections to a port of loopback, what comes from there at a given rate."""

    def __init__(self, to_port: int, bytes_per_s: float) -> None:
        self._to_port, self._rate = to_port, bytes_per_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    def close(self) -> None:
        """End all connections."""
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
                self._start(self._forward, near, far, None)
                self._start(self._forward, far, near, self._rate)

    def _forward(self, source: socket.socket, target: socket.socket, rate: float | None) -> None:
        """Each piece arrives once the link has had the time for its bytes."""
        free_at = time.monotonic()
        with contextlib.suppress(OSError):
            while data := source.recv(512 if rate else 65536):
                if rate:
                    free_at = max(free_at, time.monotonic()) + len(data) / rate
                    time.sleep(max(0.0, free_at - time.monotonic()))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def slow_ssh(folder: Path, bytes_per_s: float) -> Iterator[list[str]]:
    """Run a server for the time being; gives the beginning of the ssh command that reaches it.

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
        yield [
            "ssh", "-tt", "-q", "-F", "none", "-i", str(folder / "user"), "-p", str(proxy.port),
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
            "-o", "Compression=no", f"{getpass.getuser()}@127.0.0.1",
        ]  # fmt: skip
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
