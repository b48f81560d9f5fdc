"""What is fuzzed: a function of bytes that raises when a promise is broken, and its seeds."""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gputop.errors import GputopError, SettingsError
from gputop.export.formats import FORMATS, PRINTABLE, Options
from gputop.insight.alert_log import AlertLog
from gputop.insight.verdict_book import VerdictBook
from gputop.model.codec import decode, encode
from gputop.model.frame import AnyRecord, DeviceReading, Frame, Hello, Job, ReadTimes
from gputop.recording import RecordingIndex, RecordingWriter, read, read_block
from gputop.recording.container import CONTAINERS, PLAIN, Container
from gputop.settings import SETTINGS, parse
from gputop.sources.lines import RecordLines
from gputop.state.process_history import ProcessHistory
from gputop.state.store import Store
from gputop.text import clean
from tests.samples import (
    BOOTTIME_S,
    no_driver_hello,
    sample_devices,
    sample_frame,
    sample_hello,
)

LONGEST_SENTENCE = 600
SCRATCH = next(f for f in ("/dev/shm", tempfile.gettempdir()) if Path(f).is_dir())
"""Where recordings are written: in memory where that is possible."""
README = Path(__file__).parents[2] / "README.md"


def check_sentence(text: str) -> None:
    """What a person is told is one short sentence that drives no terminal."""
    assert text == clean(text), text
    assert len(text) <= LONGEST_SENTENCE, len(text)
    assert text.endswith((".", "?")), text


def frames(content: bytes) -> None:
    """Lines are records or one sentence; a record survives the way back, and whatever it says
    the state, the warnings and every format take it.
    """
    lines = RecordLines()
    records = lines.feed(content)
    lines.end()
    if lines.broken:
        check_sentence(lines.last_problem)
        number = re.match(r"line (\d+) ", lines.last_problem)
        assert number, lines.last_problem
        assert 1 <= int(number[1]) <= content.count(b"\n") + 1
    store, log, verdicts, held = Store(), AlertLog(), VerdictBook(), ProcessHistory()
    for record in records:
        assert decode(encode(record), 1) == record
        store.apply(record)
        if isinstance(record, Frame):
            log.update(store)
            verdicts.update(store)
            held.update(record)
    for device in store.devices:
        device.throttle.shares(store.now, 60.0)
    if store.hello is not None and store.frame is not None:
        check_files(store.hello, store.frame)


def recordings(content: bytes) -> None:
    """A file is records up to where it ends or is cut, or one sentence; block by block too."""
    with tempfile.NamedTemporaryFile(dir=SCRATCH) as file:
        file.write(content)
        file.flush()
        path = Path(file.name)
        with RecordedProblem():
            reader = read(path)
            for record in reader:
                assert decode(encode(record), 1) == record
            assert reader.ending is not None
            assert reader.ending.line <= content.count(b"\n") + 1 or content[:1] != b"{"
        with RecordedProblem():
            index = RecordingIndex(path)
            while index.scan():
                pass
            index.close()
            for block in index.blocks:
                with RecordedProblem():
                    list(read_block(path, block))


class RecordedProblem(contextlib.suppress):
    """Takes the errors of the package, each one sentence."""

    def __init__(self) -> None:
        super().__init__(GputopError)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if isinstance(error, GputopError):
            check_sentence(str(error).replace(SCRATCH, ""))
        return bool(super().__exit__(kind, error, trace))


def check_files(hello: Hello, frame: Frame) -> None:
    """Every format is made of it, and none holds what drives a terminal."""
    for name in PRINTABLE:
        make = FORMATS[name].make
        assert make is not None
        for part in make(hello, frame, Options(with_args=True)):
            for line in part.text.splitlines():
                assert "\x1b" not in line, (name, line)


def settings(content: bytes) -> None:
    """A file is settings that are accepted, or one sentence with the line."""
    try:
        values = parse(content, "config.toml")
    except SettingsError as error:
        check_sentence(str(error))
        number = re.match(r"config\.toml, line (\d+): ", str(error))
        assert number, str(error)
        assert 1 <= int(number[1]) <= content.count(b"\n") + 1
        return
    assert values.keys() <= {setting.name for setting in SETTINGS}
    assert all(math.isfinite(value) for value in values.values() if isinstance(value, float))


def frame_seeds() -> list[bytes]:
    """Real records of every kind of device, one device and one process each: small is fast."""
    seeds = [encode(no_driver_hello()), encode(Job("python3", 1.8e9, 5.0, exit_code=1))]
    processes = sample_frame().processes
    for number, (info, reading) in enumerate(sample_devices()):
        of_it = [processes[number % len(processes)]]
        hello = sample_hello(devices=[info])
        seeds.append(encode(hello) + encode(sample_frame(devices=[reading], processes=of_it)))
    seeds.append(encode(sample_hello(devices=[info])) + b"".join(_minute(reading)))
    return seeds


def _minute(reading: DeviceReading) -> list[bytes]:
    """Frames of one device over a minute: a verdict needs as much."""
    frames = []
    for seconds in range(0, 61, 30):
        at = BOOTTIME_S + seconds
        reading.read_at = ReadTimes(at, at, at, at)
        reading.samples = []
        frames.append(encode(sample_frame(boottime_s=at, devices=[reading], processes=[])))
    return frames


def recording_seeds() -> list[bytes]:
    """Short recordings of each kind of device, with deltas; of the last one packed in each way."""
    seeds = []
    for info, reading in sample_devices():
        reading.samples = []
        frames = [
            sample_frame(seq=number, boottime_s=BOOTTIME_S + number, devices=[reading],
                         processes=sample_frame().processes[number : number + 2])
            for number in range(3)
        ]  # fmt: skip
        seeds.append(recorded([sample_hello(devices=[info]), *frames], PLAIN))
    packed = [recorded([no_driver_hello(), *frames], c) for c in CONTAINERS if c is not PLAIN]
    return [*seeds, *packed]


def recorded(records: list[AnyRecord], container: Container) -> bytes:
    """The bytes of a recording."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{container.suffix}")
        with RecordingWriter(path, sync=False) as writer:
            for record in records:
                writer.write(record)
        return path.read_bytes()


def settings_seeds() -> list[bytes]:
    """The README's sample, and a line for every setting with its default."""
    sample = re.search(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    assert sample is not None
    lines = [f"{s.name} = {_toml(s.default)}" for s in SETTINGS]
    return [sample[1].encode(), "\n".join(lines).encode(), *map(str.encode, lines)]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


@dataclass(frozen=True)
class Target:
    """Something to fuzz."""

    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: tuple[str, ...]
    """What its language is made of, for the fuzzer to put together."""
    lines_of_json: bool = False

    @property
    def found(self) -> list[Path]:
        """Inputs that once broke it."""
        folder = Path(__file__).parent / "found" / self.check.__name__
        return sorted(folder.iterdir())


TARGETS = {
    "frames": Target(
        frames, frame_seeds, ('"type":"frame"', '"type":"event"', "NaN", "1e999", "null"), True
    ),
    "recordings": Target(
        recordings, recording_seeds, ('"type":"delta"', '"type":"block"', '"type":"end"'), True
    ),
    "settings": Target(
        settings, settings_seeds,
        (*(setting.name for setting in SETTINGS), "[thresholds]", "[[", "inf", "nan", "'''",
         '"""', "\\u0000", "0x", "1979-05-27", "true"),
    ),
}  # fmt: skip
