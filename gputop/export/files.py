"""Files that are whole or not there: staged beside their target, then linked into place.

Nothing is written over an existing file unless forced, and a symbolic link planted at the target
is never followed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from gputop.errors import ExportFailed
from gputop.model.frame import Frame, Hello
from gputop.text import local_time

_MOST_NAMES = 1000
"""How many numbered names `write_beside` tries."""


class FileExists(ExportFailed):
    """The target is there already, and nobody asked for it to be replaced."""


def write_new(path: Path, data: bytes, force: bool = False) -> Path:
    """Write `data` to a new file at `path`, with the permissions of the user's umask.

    Raises:
        FileExists: something stands at `path` and `force` is not set.
        ExportFailed: the file cannot be written; nothing is left behind.
    """
    return write_all([(path, data)], force)[0]


def check_new(path: Path, force: bool = False) -> None:
    """See that :func:`write_new` could write to `path`, and leave nothing there; raises as it does.
    For what takes hours to have something to write.
    """
    item = _Staged(path)
    try:
        os.close(item.create())
        item.check_place(force)
    except OSError as error:
        raise failed(path, error) from None
    finally:
        item.withdraw()


def write_all(files: Sequence[tuple[Path, bytes]], force: bool = False) -> list[Path]:
    """Write several files, all of them or none; raises as :func:`write_new` does."""
    staged: list[_Staged] = []
    try:
        for path, data in files:
            item = _Staged(path)
            staged.append(item)
            item.fill(data)
        for item in staged:
            item.publish(force, keep=len(staged) > 1)
    except BaseException as error:
        for item in reversed(staged):
            item.withdraw()
        if isinstance(error, OSError):
            raise failed(item.path, error) from None
        raise
    for item in staged:
        item.settle()
    return [item.path for item in staged]


def write_beside(
    folder: Path, name: str, parts: Iterable[tuple[str, bytes]], most: int = _MOST_NAMES
) -> list[Path]:
    """Write `parts`, each a suffix and its data, into `folder` under the first free name.

    ``gputop-h.csv`` becomes ``gputop-h-2.csv``, ``-3`` ... where it is taken; all parts of a call
    share the number. `name` carries no suffix.

    Raises:
        ExportFailed: the files cannot be written, or `most` names are taken.
    """
    kept = list(parts)
    for number in range(1, most + 1):
        stem = name if number == 1 else f"{name}-{number}"
        with contextlib.suppress(FileExists):
            return write_all([(folder / f"{stem}{suffix}", data) for suffix, data in kept])
    raise ExportFailed(f"{folder} holds {most} files named {name} already; move some away.")


def snapshot_name(hello: Hello, frame: Frame) -> str:
    """A name for a snapshot, without suffix: ``gputop-HOST-20261121-142530``, in local time."""
    host = re.sub(r"[^A-Za-z0-9._-]+", "_", hello.host.hostname).strip("._-")[:64]
    moment = local_time(frame.utc_s, "%Y%m%d-%H%M%S")
    return f"gputop-{host or 'host'}-{moment or 'undated'}"


class _Staged:
    """One file on its way: a temporary file in the target's folder, published or withdrawn."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.parent / f".gputop-{secrets.token_hex(8)}.tmp"
        self._replaced: Path | None = None
        self._published = False

    def create(self) -> int:
        """Create the temporary file; returns a descriptor of it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(self._temporary, flags, 0o666)

    def fill(self, data: bytes) -> None:
        """Write and sync the temporary file."""
        with open(self.create(), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def check_place(self, force: bool) -> None:
        """See that the name is free, or with `force` may be taken."""
        with contextlib.suppress(FileNotFoundError):
            os.lstat(self.path)
            if not force:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            self._check_replaceable()

    def publish(self, force: bool, keep: bool) -> None:
        """Put the file in its place, which must be free unless `force`.

        With `keep` a file that is replaced can come back, where the filesystem has hard links.
        """
        if force:
            self._replace(keep)
        else:
            _link_into_place(self._temporary, self.path)
        self._published = True
        _sync_folder(self.path.parent)

    def _replace(self, keep: bool) -> None:
        """Take the place of a file or link, in one step for whoever reads it."""
        self._check_replaceable()
        if keep:
            aside = self.path.parent / f".gputop-{secrets.token_hex(8)}.old"
            with contextlib.suppress(OSError):
                os.link(self.path, aside, follow_symlinks=False)
                self._replaced = aside
        os.replace(self._temporary, self.path)

    def _check_replaceable(self) -> None:
        if not _replaceable(self.path):
            raise ExportFailed(_NO_FILE.format(path=self.path))

    def withdraw(self) -> None:
        """Undo everything, as far as it was done."""
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)
        with contextlib.suppress(OSError):
            if self._replaced is not None:
                os.replace(self._replaced, self.path)
            elif self._published:
                os.unlink(self.path)

    def settle(self) -> None:
        """Throw away what is no longer needed."""
        for path in (self._temporary, self._replaced):
            if path is not None:
                with contextlib.suppress(OSError):
                    os.unlink(path)


def _replaceable(path: Path) -> bool:
    """Whether nothing stands there, or a plain file, or a link to one or to nothing: never a
    device, a pipe or a folder, nor a link to one. /dev/stdout is such a link, whatever stdout is.
    """
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode) and os.readlink(path).startswith("/proc/"):
            return False
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        return error.errno in _NOTHING


_NOTHING = (errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR)
"""What is answered for a name, or at the end of a link, where there is nothing."""
_NO_LINKS = frozenset(
    {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
)
"""What `link` answers on filesystems without hard links (FAT, some FUSE and network mounts)."""
_NO_NOREPLACE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
"""Both from the kernel's ``fcntl.h``."""


def _link_into_place(temporary: Path, path: Path) -> None:
    """Give `temporary` the name `path`, atomically, failing where the name is taken."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_into_place(temporary, path)


def _rename_into_place(temporary: Path, path: Path) -> None:
    """The same by `renameat2`, and where that is missing too by an exclusive copy."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        _copy_into_place(temporary, path)
        return
    names = os.fsencode(temporary), os.fsencode(path)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in _NO_NOREPLACE:
        raise OSError(code, os.strerror(code))
    _copy_into_place(temporary, path)


def _copy_into_place(temporary: Path, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(temporary.read_bytes())
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(path)
        raise


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the filesystem can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_NO_FILE = "{path} is no regular file; choose another name."
_SENTENCES = {
    errno.EEXIST: "{path} exists already; choose another name or add --force.",
    errno.ENOENT: "The folder {folder} does not exist; create it or choose another.",
    errno.ENOTDIR: "{folder} is not a folder; choose another.",
    errno.EISDIR: "{path} is a folder; name a file in it.",
    errno.EACCES: "{folder} may not be written to; choose a folder of yours.",
    errno.EPERM: "{folder} may not be written to; choose a folder of yours.",
    errno.EROFS: "{folder} is on a read-only filesystem; choose another folder.",
    errno.ENOSPC: "There is no space left for {path}; free some or choose another folder.",
    errno.EDQUOT: "Your quota is used up, so {path} was not written; free some space.",
    errno.EFBIG: "{path} would be larger than allowed (see ulimit -f); raise the limit.",
    errno.ENAMETOOLONG: "The name {path} is too long; choose a shorter one.",
    errno.ELOOP: "{folder} runs through too many symbolic links; choose another folder.",
}


def _is_there(folder: Path) -> bool:
    """Whether a folder has a name: a deleted one is still there for whoever works in it."""
    return folder.is_dir() and folder.stat().st_nlink > 0


def failed(path: Path, error: OSError) -> ExportFailed:
    """Why `path` could not be written, in one sentence."""
    code = errno.EISDIR if os.path.isdir(path) else error.errno or 0
    if code == errno.ENOENT and _is_there(path.parent):  # what /proc answers to a new file
        code = errno.EACCES
    form = (
        _NO_FILE
        if code == errno.EEXIST and not _replaceable(path)
        else _SENTENCES.get(code, "{path} could not be written ({why}); choose another place.")
    )
    sentence = form.format(path=path, folder=path.parent, why=error.strerror)
    return FileExists(sentence) if code == errno.EEXIST else ExportFailed(sentence)
