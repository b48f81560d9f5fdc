"""Recordings that somebody else wrote: what they say is only text, and what is no recording is one
sentence that costs no memory, whoever opens it.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gputop.model.codec import LONGEST_LINE, encode
from gputop.model.frame import (
    AnyRecord,
    DeviceInfo,
    DeviceReading,
    DeviceUse,
    DriverInfo,
    Event,
    Frame,
    Hello,
    HostInfo,
    HostReading,
    Job,
    Process,
    ReadTimes,
)
from gputop.recording.container import CONTAINERS, Container
from tests.demo_records import demo_records
from tests.e2e.program import Run, Start, peak
from tests.e2e.test_hostile_text import DRIVES, EVIL, LISTED, SHOWN, SIZE, check_only_text

MARKUP = "<script>alert(1)</script>\"'><img onerror=x> | `a` **b** [c](http://d) &lt; $e$"
"""What HTML and Markdown would take for their own."""
WORST = EVIL + MARKUP
NAME = "=1\x1b]0;owned\x07\u202e[red]<script>|`.ndjson"
FORMATS = ("text", "markdown", "html", "json")
SECONDS = 90


def hostile_records() -> Iterator[AnyRecord]:
    """Every text there is in a recording is hostile."""
    utc, boot, evil = 1_795_000_000.0, 10_000.0, WORST
    host = HostInfo(evil, "boot", kernel=evil, cpu_model=evil, cpu_count=2, container=evil)
    driver = DriverInfo("ok", 0.0, driver_version=evil, nvml_version=evil, cuda_version=evil)
    names = dict.fromkeys(("name", "bus_id", "architecture", "compute_capability", "serial"), evil)
    devices = [
        DeviceInfo("GPU-0" + evil, index=0, **names),
        DeviceInfo("GPU-1" + evil, index=1, **names),
        DeviceInfo("MIG-2" + evil, index=0, parent="GPU-0" + evil, mig_profile=evil, **names),
    ]
    yield Hello(1, evil, evil, host, driver, devices, 1.0, utc, boot, with_args=True)
    yield Job(evil, utc, boot, command=[evil, evil])
    yield Event(evil, 0, utc, boot, "xid", "GPU-0" + evil, 79, evil)
    yield Event(evil, 1, utc, boot, "log", text=evil)
    why = {"memory_used_bytes": f"error({evil})", "power_w": evil}
    for seq in range(SECONDS):
        now = boot + seq
        busy = DeviceReading(
            "GPU-0" + evil, read_at=ReadTimes(now, now, now, now), missing=why,
            temperature_c=50.0 + seq % 10, gpu_utilization=0.5,
        )  # fmt: skip
        lost = DeviceReading("GPU-1" + evil, "lost", boot - 5, detail=evil)
        uses = [DeviceUse("GPU-0" + evil, "C", memory_bytes=1 << 30, sm_utilization=0.5)]
        process = Process(
            999_999, 7, evil, evil, 1234, [evil, evil], evil, utc, job=True, uses=uses
        )
        load = HostReading(read_at=now, cpu_utilization=0.5)
        yield Frame(evil, seq, utc + seq, now, 1.0, load, [busy, lost], [process])


@pytest.fixture
def hostile(folder: Path) -> Path:
    """Such a recording, under a name that is hostile too."""
    path = folder / NAME
    path.write_bytes(b"".join(map(encode, hostile_records())))
    return path


class Page(HTMLParser):
    """The tags of a page, with the names of their attributes, and what is written."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words += data


def check_html(text: str, plain: str) -> None:
    """It has no tag and no attribute that a page of a harmless recording has not."""
    page, harmless = Page(text), Page(plain)
    assert page.tags <= harmless.tags
    assert page.attributes <= harmless.attributes
    assert "<script>alert(1)</script>\"'><img onerror=x>" in page.words


def check_markdown(text: str, _: str) -> None:
    assert "\\`a\\` \\*\\*b\\*\\* \\[c\\]" in text
    rows = [re.sub(r"\\.", "", line) for line in text.splitlines()]
    for above, below in itertools.pairwise(rows):
        if above.startswith("|") and below.startswith("|"):
            assert above.count("|") == below.count("|"), below
    assert not [row for row in rows if re.search(r"<\w|\]\(|(?<!`)`(?!`)", row)]


def check_text(text: str, _: str) -> None:
    assert MARKUP[:25] in text


def check_json(text: str, _: str) -> None:
    assert MARKUP in json.dumps(json.loads(text), ensure_ascii=False).replace('\\"', '"')


CHECKS = {"text": check_text, "markdown": check_markdown, "html": check_html, "json": check_json}


@pytest.mark.parametrize("files", [1, 2], ids=["one", "two"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_report_holds_only_text(
    run: Run, folder: Path, hostile: Path, name: str, files: int
) -> None:
    (folder / "plain.ndjson").write_bytes(b"".join(map(encode, demo_records(2, SECONDS))))
    text, plain = (
        run(None, "report", *[str(path)] * files, "--format", name).check()
        for path in (hostile, folder / "plain.ndjson")
    )
    assert not DRIVES.search(text), DRIVES.search(text)
    CHECKS[name](text, plain)


@pytest.mark.parametrize("name", FORMATS)
def test_a_currency_is_only_text(run: Run, folder: Path, name: str) -> None:
    """What a settings file holds, which --config may have from anywhere."""
    (folder / "plain.ndjson").write_bytes(b"".join(map(encode, demo_records(2, SECONDS))))
    settings = f"[prices]\ngpu_hour = 1\ncurrency = {json.dumps(WORST)}\n"
    (folder / "evil.toml").write_text(settings, encoding="utf-8")
    words = ("report", "plain.ndjson", "--config", "evil.toml", "--format", name)
    text = run(None, *words).check()
    assert not DRIVES.search(text), DRIVES.search(text)
    assert "owned" in text


def test_what_is_said_of_it_on_stderr_is_only_text(
    gputop: Start, folder: Path, hostile: Path
) -> None:
    """The progress, the name of the file that was written, a time that is none."""
    long = folder / hostile.name.replace("1", "2")
    long.write_bytes(b"".join(map(encode, demo_records(1, 600))))
    for words, code, says in (
        (["report", long.name, "-o", f"{NAME}.html"], 0, "Wrote =1␛]0;owned␇"),
        (["report", hostile.name, "--from", EVIL.replace("\0", "")], 2, r"\x1b]52;c"),
        (["report", "no" + hostile.name], 1, "There is no recording no=1␛]0;owned␇"),
        (["snapshot", "--demo", "-o", f"{NAME}.csv"], 0, "Wrote =1␛]0;owned␇"),
    ):
        terminal = gputop(None, *words, interval="", size=SIZE)
        assert terminal.exit_code() == code, terminal.describe()
        assert says in terminal.text(), terminal.describe()
        check_only_text(terminal)


def test_a_replay_shows_only_text(gputop: Start, hostile: Path) -> None:
    terminal = gputop(None, "replay", hostile.name, "--at", "30s", interval="", size=SIZE)
    terminal.press("p", shows="^ stopped ")
    terminal.wait_for(SHOWN)
    terminal.press("w", shows=LISTED)
    terminal.wait_for(SHOWN)
    terminal.press("esc", hides=LISTED)
    terminal.press("enter", shows="Host memory")
    terminal.wait_for(SHOWN)
    terminal.press("esc", hides="Host memory")
    terminal.press("tab", "enter", shows="Bus id|UUID")
    terminal.wait_for(SHOWN)
    terminal.press("esc", hides="Bus id|UUID")
    terminal.press("ctrl-p", shows="Search")
    terminal.press("esc", hides="Search")
    check_only_text(terminal)
    terminal.check_keys_answer()
    terminal.check_leaves()


# -- what is none --------------------------------------------------------------------------------

MB = 1 << 20
OPENERS = (("report",), ("replay", "--marks={}"))
"""What opens recordings, beside the screen."""
LINE = encode(Event("s", 1, 1.0, 1.0, "log", text="x" * 20_000))
BOMBS = {
    "a line that never ends": (b" " * MB, 200, 3, rf"line \d+ is longer than {LONGEST_LINE} bytes"),
    "very many lines": (LINE, 40 * MB // len(LINE), 1.5, ""),
}
"""What comes again and again, how often, how many times an ordinary recording's memory that may
take, and what is said.
"""


def packed(container: Container, piece: bytes, count: int, seconds: int = 5) -> bytes:
    """Some records with `piece` again and again in front of the last one, all in one block."""
    packer = container.packer()
    *head, last = map(encode, demo_records(1, seconds))
    number = dict.fromkeys(("number", "line", "frames", "utc_s", "boottime_s"), 0)
    header = json.dumps({"type": "block", "format": 1, **number}, separators=(",", ":"))
    parts = [packer.begin(header.encode()), packer.add(b"".join(head), flush=False)]
    parts += [packer.add(piece, flush=False) for _ in range(count)]
    return b"".join([*parts, packer.add(last, flush=False), packer.end()])


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container.suffix)
def test_a_recording_without_end_costs_no_memory(
    folder: Path, container: Container, bomb: str
) -> None:
    """Some are a few kB in the file."""
    piece, count, times, says = BOMBS[bomb]
    (folder / "ordinary").write_bytes(packed(container, b"", 0, seconds=60))
    (folder / "bomb").write_bytes(packed(container, piece, count))
    for words in OPENERS:
        code, usual, said = peak(folder, *words, "ordinary")
        assert (code, said) == (0, "")
        code, most, said = peak(folder, *words, "bomb")
        assert code == (1 if says else 0), said
        assert re.search(says, said)
        assert said.count("\n") == code
        assert most < times * usual, (most, usual)


BROKEN = {
    "mistyped": (b'{"type":"frame","seq":"one"}', "line 7 is not a gputop record"),
    "deep": (b'{"a":' * 100_000, "line 7 cannot be read"),
    "not a number": (b'{"type":"frame","utc_s":NaN}', "line 7 cannot be read"),
    "newer": (b'{"type":"block","format":9,"number":0,"line":8,"frames":4,"utc_s":1795000003,'
              b'"boottime_s":10003}', "line 7 was written by a newer gputop .* Update gputop"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_replay_says_which_line_it_cannot_read(gputop: Start, folder: Path, case: str) -> None:
    """What came before it is shown; a file that is broken before its first frame does not open."""
    line, says = BROKEN[case]
    records = list(map(encode, demo_records(1, 4)))
    (folder / "a.ndjson").write_bytes(b"".join(records) + line + b"\n")
    terminal = gputop(None, "replay", "a.ndjson", interval="", size=SIZE)
    terminal.wait_for(says)
    terminal.wait_device(0, "H100")
    terminal.check_leaves()
    (folder / "b.ndjson").write_bytes(b"".join(records[:1]) + line + b"\n")
    terminal = gputop(None, "replay", "b.ndjson", interval="", size=SIZE)
    assert terminal.exit_code() == 1
    assert terminal.find(r"^gputop: b\.ndjson, " + says.replace("7", "2"))
    assert terminal.is_restored()


def test_a_jump_over_very_many_events_costs_no_memory(gputop: Start, folder: Path) -> None:
    zst, (piece, count, *_) = CONTAINERS[0], BOMBS["very many lines"]
    peaks = []
    for name, pieces in (("ordinary", 0), ("bomb", count)):
        (folder / name).write_bytes(packed(zst, piece, pieces))
        terminal = gputop(None, "replay", name, "--at", "4s", interval="", size=SIZE)
        terminal.press("p", shows=r"^ stopped .* 0:0[45] of 0:0\d")
        status = Path(f"/proc/{terminal.pid}/status").read_text()
        peaks.append(int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]))
        terminal.check_leaves()
    assert peaks[1] < 1.5 * peaks[0], peaks
