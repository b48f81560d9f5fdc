"""Names that others chose: of hosts, users, devices, processes, and what they write anywhere.

A collector that prints hostile records stands in the place of the real one, so that every name is
hostile at once; the rest is the real program. What drives a terminal, Textual's markup or a
spreadsheet must be text on every screen and in every file.
"""

from __future__ import annotations

import base64
import csv
import io
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gputop.export.formats import FORMATS
from tests.e2e.conftest import Spawn
from tests.e2e.program import CHECKOUT, Gputop, Start, wait_ended
from tests.e2e.test_process_faults import SABOTAGE
from tests.e2e.test_processes import start_ticks

SIZE = (300, 50)
EVIL = (
    '=\u202e\u200b\u2066\x9b31m1+1"\\\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b]0;owned\x07'
    "[red]R[/] [@click=app.quit]Q[/]\r\n\x00../../E"
)
"""A formula, bidi and zero-width characters and an 8-bit CSI (in front, where nothing is cut off),
a quote, the clipboard, a cleared screen, a title, markup, line ends and a path."""
SHOWN = r"\[red\]R\[/\] \[@click=app\.quit\]Q\[/\]"
"""What must be seen of it, as it is."""
DRIVES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")

COLLECTOR = """
from gputop.model.codec import encode
from gputop.model.frame import *
evil, pid, ticks = {evil!r}, {pid}, {ticks}
clock = lambda: (time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))
put = lambda record: os.write(1, encode(record))
host = HostInfo(evil, "boot", kernel=evil, cpu_model=evil, cpu_count=2, container=evil)
driver = DriverInfo("ok", 0.0, driver_version=evil, nvml_version=evil, cuda_version=evil)
names = dict(name=evil, bus_id=evil, architecture=evil, compute_capability=evil, serial=evil)
devices = [
    DeviceInfo("GPU-0" + evil, index=0, **names),
    DeviceInfo("GPU-1" + evil, index=1, **names),
    DeviceInfo("GPU-3" + evil, index=3, **names),
    DeviceInfo("MIG-2" + evil, index=0, parent="GPU-0" + evil, mig_profile=evil, **names),
]
utc, boot = clock()
put(Hello(1, evil, evil, host, driver, devices, 0.25, utc, boot, with_args=True))
put(Event(evil, 0, utc, boot, "xid", "GPU-0" + evil, 79, evil))
put(Event(evil, 1, utc, boot, "log", text=evil))
uses = [DeviceUse("GPU-0" + evil, "C", memory_bytes=1 << 30, sm_utilization=0.5)]
for seq in range(10**6):
    utc, boot = clock()
    at = ReadTimes(boot, boot, boot, boot)
    ok = dict(status="ok", read_at=at, temperature_c=50 + seq % 10, gpu_utilization=0.5)
    why = dict(memory_used_bytes="error(" + evil + ")", power_w=evil)
    put(Frame(evil, seq, utc, boot, 0.25, HostReading(read_at=boot, cpu_utilization=0.5), [
        DeviceReading("GPU-0" + evil, missing=why, **ok),
        DeviceReading("GPU-1" + evil, "lost", boot - 5, detail=evil),
        DeviceReading("GPU-3" + evil, missing=why, **ok),
        DeviceReading("MIG-2" + evil, missing=why, **ok),
    ], [
        Process(pid, ticks, evil, evil, 1234, [evil, evil], evil, utc - 60, uses=uses),
        Process(2**31, None, evil, evil, uses=[DeviceUse("GPU-3" + evil, "C", memory_bytes=1)]),
    ]))
    time.sleep(0.25)
"""


LISTED = r"\((lasting|over)\)"
"""What only the warnings screen says."""


def hostile(gputop: Start, spawn: Spawn, folder: Path, *flags: str) -> tuple[Gputop, int]:
    """The program on a hostile collector, and the pid of the process it names."""
    child = spawn()
    (folder / "sitecustomize.py").write_text(SABOTAGE)
    code = COLLECTOR.format(evil=EVIL, pid=child.pid, ticks=start_ticks(child.pid))
    (folder / "ill").write_text(code, encoding="utf-8")
    variables = {"PYTHONPATH": f"{folder}:{CHECKOUT}"}
    terminal = gputop(None, *flags, size=SIZE, env=variables)
    terminal.wait_for(rf"0 +{child.pid} ")
    return terminal, child.pid


def check_only_text(terminal: Gputop) -> None:
    assert not [words for words in terminal.osc if words.startswith(("52;", "0;", "2;"))]
    drawn = bytes(terminal.raw).decode("utf-8", "replace")
    for sign in "\u202e\u200b\u2066\x9b\x00":
        at = drawn.find(sign)
        assert at < 0, f"{sign!r} was sent behind {drawn[max(0, at - 300) : at]!r}"
    assert "\x1b[2J[red]" not in drawn
    assert "\x1b[31m" not in drawn


def test_names_are_only_text_on_every_screen(gputop: Start, spawn: Spawn, tmp_path: Path) -> None:
    terminal, pid = hostile(gputop, spawn, tmp_path, "--temperature", "c")
    terminal.wait_for(SHOWN)
    terminal.wait_for(rf"3 +{2**31} .*{SHOWN}")  # a process whose command line nobody knows
    check_only_text(terminal)
    # What is on the overview too shows nothing: Enter at once behind Esc is another key.
    terminal.press("w", shows=LISTED)
    terminal.wait_for(SHOWN)
    terminal.press("esc", hides=LISTED)
    terminal.wait_for(rf"0 +{pid} ")
    terminal.press("enter", shows="Host memory")
    terminal.wait_for(SHOWN)
    terminal.press("esc", shows=rf"0 +{pid} ")
    terminal.press("K", shows="Send a signal to th")
    terminal.wait_for(SHOWN)
    terminal.press("esc", hides="Send a signal to th")
    terminal.press("/", shows="^ ?/ ")
    terminal.press("user:[red]R[/]", shows=r"/ user:\[red\]R\[/\]")
    terminal.press("esc", hides="^ ?/ ")
    terminal.press("tab", "enter", shows="Bus id|UUID")
    terminal.wait_for(SHOWN)
    check_only_text(terminal)
    terminal.press("y", shows="Copied")
    copied = [words for words in terminal.osc if words.startswith("52")]
    assert len(copied) == 1, "only what `y` copies"
    pasted = base64.b64decode(copied[0].removeprefix("52;c;")).decode()
    assert pasted.startswith("GPU-0=")
    assert not DRIVES.search(pasted), "nothing in it presses Enter in a shell"
    terminal.osc.clear()
    terminal.press("esc", hides="Bus id|UUID")
    terminal.press("right", "enter", shows="Bus id|UUID")
    terminal.wait_for(SHOWN)
    check_only_text(terminal)
    terminal.check_keys_answer()
    terminal.check_leaves()


@pytest.mark.parametrize("name", FORMATS)
def test_names_are_only_text_in_every_file(
    gputop: Start, spawn: Spawn, folder: Path, tmp_path: Path, name: str
) -> None:
    flags = ("--snapshot-format", name, "--with-args")
    terminal, _ = hostile(gputop, spawn, tmp_path, *flags)
    terminal.wait_for(SHOWN)
    paths = terminal.save()
    assert {path.parent for path in paths} == {folder}, "a host's name is no path"
    for path in paths:
        assert re.fullmatch(r"[\w.,=+~-]+", path.name), path.name
        text = path.read_bytes().decode("utf-8")
        assert not DRIVES.search(text), DRIVES.search(text)
        if path.suffix == ".svg":
            ElementTree.fromstring(text)
        elif path.suffix == ".csv":
            cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
            assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
        elif path.suffix == ".prom":
            for line in text.splitlines():
                assert line.startswith("#") or re.fullmatch(
                    r'\w+(\{(\w+="([^"\\]|\\.)*",?)*\})? \S+', line
                ), line
    check_only_text(terminal)
    assert sorted(os.listdir(folder)) == sorted(path.name for path in paths)


@pytest.mark.parametrize("arguments", [(), ("record", "-o", "a.ndjson")], ids=["ui", "record"])
def test_a_collector_s_last_words_are_only_text(
    gputop: Start, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Whatever a library printed on stderr before it crashed."""
    (tmp_path / "sitecustomize.py").write_text(SABOTAGE)
    words = EVIL.replace("\r\n", "")
    (tmp_path / "ill").write_text(f"os.write(2, {words!r}.encode()); os._exit(7)", encoding="utf-8")
    variables = {"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"}
    terminal = gputop(None, *arguments, interval="", size=(300, 24), env=variables)
    terminal.wait_for("exit code 7: .*" + SHOWN)
    check_only_text(terminal)


BROKEN = """
from gputop.{module} import {cls}
def fail(*_): raise LookupError({evil!r})
{cls}.{method} = fail
"""


@pytest.mark.parametrize("traceback", ["", "1"])
@pytest.mark.parametrize(
    "where", [("state.store", "Store", "apply"), ("sources.local", "LocalSource", "_deliver")],
    ids=["main", "thread"],
)  # fmt: skip
def test_what_nobody_foresaw_drives_no_terminal(
    gputop: Start, tmp_path: Path, where: tuple[str, str, str], traceback: str
) -> None:
    """An error may quote what was read."""
    module, cls, method = where
    broken = BROKEN.format(module=module, cls=cls, method=method, evil=EVIL)
    (tmp_path / "sitecustomize.py").write_text(broken, encoding="utf-8")
    variables = {"PYTHONPATH": f"{tmp_path}:{CHECKOUT}", "GPUTOP_TRACEBACK": traceback}
    terminal = gputop(None, "--demo", interval="", size=SIZE, env=variables)
    assert terminal.exit_code() == 1
    assert terminal.is_restored()
    wait_ended(terminal.descendants())  # one that was just killed may still be dying
    assert terminal.find("Traceback" if traceback else "Something unforeseen went wrong")
    prompt = f"the shell's prompt has no line of its own: {terminal.describe()}"
    assert terminal.cursor()[0] == 0, prompt
    assert 'LookupError: =����31m1+1"\\␛]52;c;ZXZpbA==␇␛[2J' in terminal.text()
    check_only_text(terminal)
