"""C libraries for tests: the fake driver, and what is preloaded. Compiled once in a run.

The folder is shared by all of pytest's workers and gone when the process that made it ends.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

FLAGS = ("-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
_FOLDER = "GPUTOP_TEST_BUILDS"


def compiler() -> str | None:
    """Return the path of the machine's C compiler, or None."""
    return shutil.which(os.environ.get("CC", "cc"))


def folder() -> Path:
    """The folder of this run's builds. Processes that are started later use the same."""
    if _FOLDER not in os.environ:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="gputop-builds-")
        atexit.register(shutil.rmtree, os.environ[_FOLDER], ignore_errors=True)
    return Path(os.environ[_FOLDER])


def library(
    name: str, sources: Sequence[Path], flags: Sequence[str] = (), headers: Sequence[Path] = ()
) -> Path:
    """Compile a library, or find the one that was compiled of the same content before.

    Returns:
        Its path; its folder holds nothing else. Do not change it: others use it.

    Raises:
        RuntimeError: There is no compiler, or it refuses the sources.
    """
    cc = compiler()
    if cc is None:
        raise RuntimeError(f"{name} needs a C compiler (cc)")
    content = [path.read_bytes() for path in (*sources, *headers)]
    key = hashlib.sha256(repr((cc, FLAGS, flags, content)).encode()).hexdigest()[:16]
    path = folder() / key / name
    path.parent.mkdir(exist_ok=True)
    # Workers that want the same wait for the first instead of compiling it too.
    with (folder() / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            unfinished = folder() / f"{key}.unfinished"
            command = [cc, *FLAGS, *flags, "-o", str(unfinished), *map(str, sources), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{name} does not compile:\n{done.stderr}")
            unfinished.replace(path)
    return path
