import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gputop.errors import ExportFailed
from gputop.export import files
from gputop.export.files import (
    FileExists,
    check_new,
    snapshot_name,
    write_all,
    write_beside,
    write_new,
)
from tests.samples import sample_frame, sample_hello


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_is_whole_and_alone(tmp_path):
    assert write_new(tmp_path / "a.json", b"data") == tmp_path / "a.json"
    assert (tmp_path / "a.json").read_bytes() == b"data"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_new(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_an_existing_file_is_left_alone(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExists, match="exists already; choose another name or add --force"):
        write_new(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_force_replaces_in_one_step(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with open(tmp_path / "a", "rb") as reader:
        write_new(tmp_path / "a", b"new", force=True)
        assert reader.read() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_planted_link_is_never_followed(tmp_path, force, dangling):
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_bytes(b"precious")
    (tmp_path / "a").symlink_to(victim)
    if force:
        write_new(tmp_path / "a", b"new", force=True)
        assert not (tmp_path / "a").is_symlink()
        assert (tmp_path / "a").read_bytes() == b"new"
    else:
        with pytest.raises(FileExists):
            write_new(tmp_path / "a", b"new")
        assert (tmp_path / "a").is_symlink()
    assert victim.exists() is not dangling
    assert dangling or victim.read_bytes() == b"precious"


def test_a_pipe_is_not_replaced_even_by_force(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ExportFailed, match="no regular file"):
        write_new(tmp_path / "pipe", b"", force=True)
    assert names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("target", ["/dev/full", "/proc/self/fd/1", "pipe", "folder"])
def test_a_link_to_what_is_no_file_stays(tmp_path, target, force):
    """As /dev/stdout, which root could take from everybody."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").symlink_to(target)
    with pytest.raises(ExportFailed, match=r"a is (no regular file|a folder); "):
        write_new(tmp_path / "a", b"data", force)
    assert os.readlink(tmp_path / "a") == target
    assert names(tmp_path) == ["a", "folder", "pipe"]


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "d").mkdir()
    with pytest.raises(ExportFailed, match="is a folder; name a file in it"):
        write_new(tmp_path / "d", b"")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("none/a", "none does not exist; create it"),
        ("file/a", "file is not a folder"),
        ("x" * 300, "is too long; choose a shorter one"),
    ],
)
def test_one_sentence_says_what_to_do(tmp_path, path, sentence):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExportFailed, match=sentence) as caught:
        write_new(tmp_path / path, b"data")
    assert str(caught.value).count(".") >= 1
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("write", [check_new, lambda path: write_new(path, b"data")])
def test_a_folder_that_takes_no_files(write):
    with pytest.raises(ExportFailed, match=r"^/proc may not be written to; choose"):
        write(Path("/proc/a"))


@pytest.mark.parametrize("force", [False, True])
def test_what_can_be_written_later_is_known_before(tmp_path, force):
    """The same mistakes are found, and nothing is left."""
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("new", "file", "folder", "link", "pipe", "none/a", "file/a", "x" * 300):
        there, said = names(tmp_path), []
        for write in (check_new, lambda path, force: write_new(path, b"data", force)):
            try:
                write(tmp_path / name, force)
            except ExportFailed as error:
                said.append(str(error))
            else:
                said.append("")
            if write is check_new:
                assert names(tmp_path) == there
        assert said[0] == said[1]


def run_restricted(code: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    program = "import sys, pathlib\nfrom gputop.export.files import *\n" + code
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


def test_a_file_that_outgrows_its_limit_leaves_nothing(tmp_path):
    done = run_restricted(
        "write_new(pathlib.Path(sys.argv[1]), b'x' * 100_000)",
        str(tmp_path / "a"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert "ExportFailed" in done.stderr
    assert "larger than allowed" in done.stderr
    assert names(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path):
    mount = shutil.which("mount")
    folder = tmp_path / "small"
    folder.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small filesystem")
    try:
        with pytest.raises(ExportFailed, match="no space left"):
            write_new(folder / "a", b"x" * 1_000_000)
        assert names(folder) == []
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_device_while_writing_leaves_nothing(tmp_path, monkeypatch):
    """/dev/full stands in for the temporary file: writing to it fails as a full disk does."""
    real = os.open

    def full(path, flags, mode=0o777, **options):
        if str(path).endswith(".tmp"):
            real(path, flags, mode)
            return real("/dev/full", os.O_WRONLY)
        return real(path, flags, mode, **options)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(ExportFailed, match="no space left"):
        write_new(tmp_path / "a", b"data")
    monkeypatch.undo()
    assert names(tmp_path) == []


def test_a_forbidden_folder():
    become_nobody = "import os\nif os.getuid() == 0: os.setgroups([]); os.setuid(65534)\n"
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o555)
        done = run_restricted(
            become_nobody + "write_new(pathlib.Path(sys.argv[1]), b'x')", f"{name}/a"
        )
        assert "ExportFailed" in done.stderr
        assert "may not be written to" in done.stderr
        assert names(Path(name)) == []
        os.chmod(name, 0o755)


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_new(tmp_path / "a", b"data")
    assert names(tmp_path) == []


@pytest.mark.parametrize("force", [False, True])
def test_two_files_come_both_or_not_at_all(tmp_path, force):
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_bytes(b"old") if force else None
    with pytest.raises(ExportFailed):
        write_all([(tmp_path / "a", b"new"), (tmp_path / "b", b"new")], force)
    if force:
        assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == (["a", "b"] if force else ["b"])


def test_two_files_replace_two(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"old")
    write_all([(tmp_path / "a", b"1"), (tmp_path / "b", b"2")], force=True)
    assert [(tmp_path / name).read_bytes() for name in ("a", "b")] == [b"1", b"2"]
    assert names(tmp_path) == ["a", "b"]


@pytest.fixture(params=["renameat2", "copy"])
def without_links(request, monkeypatch):
    """A filesystem without hard links, with and without renameat2."""

    def link(*arguments, **options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    if request.param == "copy":
        monkeypatch.setattr(files, "_rename_into_place", files._copy_into_place)
    return request.param


def test_without_hard_links_a_file_still_comes_whole(tmp_path, without_links):
    write_new(tmp_path / "a", b"data")
    assert (tmp_path / "a").read_bytes() == b"data"
    assert names(tmp_path) == ["a"]


def test_without_hard_links_an_existing_file_is_left_alone(tmp_path, without_links):
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "a").symlink_to(tmp_path / "victim")
    (tmp_path / "b").write_bytes(b"old")
    for name in ("a", "b"):
        with pytest.raises(FileExists):
            write_new(tmp_path / name, b"new")
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert (tmp_path / "b").read_bytes() == b"old"
    assert names(tmp_path) == ["a", "b", "victim"]


def test_the_next_free_name(tmp_path):
    parts = [(".csv", b"1"), ("-processes.csv", b"2")]
    for _ in range(2):
        write_beside(tmp_path, "s", parts)
    assert names(tmp_path) == ["s-2-processes.csv", "s-2.csv", "s-processes.csv", "s.csv"]
    (tmp_path / "s-3-processes.csv").write_bytes(b"")
    assert write_beside(tmp_path, "s", parts)[0].name == "s-4.csv"
    assert not (tmp_path / "s-3.csv").exists()


def test_names_run_out(tmp_path):
    write_beside(tmp_path, "s", [(".txt", b"")], most=1)
    with pytest.raises(ExportFailed, match="already; move some away"):
        write_beside(tmp_path, "s", [(".txt", b"")], most=1)


@pytest.mark.parametrize(
    ("hostname", "part"),
    [("node-07", "node-07"), ("../../etc\x1b", "etc"), ("", "host"), ("a b/c", "a_b_c")],
)
def test_snapshot_name(monkeypatch, hostname, part):
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()
    hello = sample_hello()
    hello.host.hostname = hostname
    assert snapshot_name(hello, sample_frame()) == f"gputop-{part}-20261121-142530"
    assert snapshot_name(hello, sample_frame(utc_s=1e18)) == f"gputop-{part}-undated"
