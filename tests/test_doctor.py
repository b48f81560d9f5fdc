import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gputop.commands.doctor import as_json, as_text
from gputop.doctor import driver_checks, program_checks
from gputop.doctor.checks import CHECKS, Result, examine, exit_code
from gputop.doctor.surroundings import Finding, Probe, Surroundings, Terminal, ask
from tests import fake_driver
from tests.builds import compiler

TERMINAL = Terminal(is_tty=True, columns=120, rows=40, encoding="utf-8", colors=256)
SAFETY_S = 60.0
VERSIONS = {
    "step": "versions",
    "python": "3.11",
    "distributions": {"textual": "8.2.8", "nvidia-ml-py": "13.6", "pynvml": None},
}
WORKING = [
    VERSIONS,
    {"step": "library", "path": "/usr/lib/libnvidia-ml.so.580.95.05"},
    {"step": "binding", "path": "/site/pynvml.py", "genuine": True},
    {"step": "opening"},
    {"step": "opened", "code": 0},
    {"step": "driver", "version": "580.95.05"},
    {"step": "count", "count": 1},
    {"step": "device", "index": 0, "name": "NVIDIA H100", "persistence": True},
    {"step": "done"},
]
LOADED = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\nGCC\n"


def probed(*steps: dict, hung: bool = False, trouble: str = "") -> Probe:
    probe = Probe(hung=hung, trouble=trouble)
    for step in steps:
        probe.take(json.dumps(step))
    return probe


class Machine:
    """A machine that works, below a temporary root; tests take parts of it away."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.folder = folder / "cwd"
        self.folder.mkdir()
        self.environ = {"TERM": "xterm-256color"}
        self.terminal = TERMINAL
        self.probe = probed(*WORKING)
        self.write("proc/driver/nvidia/version", LOADED)
        self.write("proc/modules", "nvidia 1 0 - Live 0x0\n")
        self.write("proc/sys/kernel/osrelease", "6.8.0-45-generic\n")
        self.write("sys/bus/pci/devices/0000:1a:00.0/vendor", "0x10de\n")
        self.write("sys/bus/pci/devices/0000:1a:00.0/class", "0x030200\n")
        self.write("sys/bus/pci/devices/0000:1a:00.1/vendor", "0x10de\n")
        self.write("sys/bus/pci/devices/0000:1a:00.1/class", "0x040300\n")
        self.write("dev/nvidiactl")
        self.write("dev/nvidia0")
        (self.root / "proc/self/ns").mkdir(parents=True)
        (self.root / "proc/self/ns/pid").symlink_to("pid:[4026531836]")

    def write(self, path: str, text: str = "") -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def remove(self, *paths: str) -> None:
        for path in paths:
            (self.root / path).unlink()

    def around(self) -> Surroundings:
        return Surroundings(self.root, self.environ, self.folder, self.terminal, self.probe)

    def find(self, check: str) -> Finding:
        found = CHECKS[check](self.around())
        assert found is not None, f"{check} says nothing"
        return found

    def says_nothing(self, check: str) -> bool:
        return CHECKS[check](self.around()) is None


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_machine_that_works_has_nothing_to_complain_about(machine):
    results = examine(machine.around())
    assert {r.found.level for r in results} == {"ok"}
    assert exit_code(results) == 0
    assert machine.find("hardware").finding == "1 NVIDIA device on the PCI bus"
    assert machine.find("kernel driver").finding == "kernel driver 580.95.05"
    assert machine.find("devices").finding == "1 device: NVIDIA H100"


def test_every_failure_has_a_remedy(machine):
    machine.probe = probed(VERSIONS, {"step": "library", "error": "gone"})
    machine.remove("proc/driver/nvidia/version", "dev/nvidiactl", "dev/nvidia0")
    machine.write(".dockerenv")
    failures = [r.found for r in examine(machine.around()) if r.found.level == "fail"]
    assert len(failures) == 3
    assert all(failure.remedy for failure in failures)


def test_hardware_without_a_driver(machine):
    machine.remove("proc/driver/nvidia/version")
    found = machine.find("kernel driver")
    assert (found.level, found.no_driver) == ("fail", True)
    assert "there is NVIDIA hardware" in found.finding
    assert "modprobe nvidia" in found.remedy


def test_neither_hardware_nor_driver(machine):
    machine.remove("proc/driver/nvidia/version")
    machine.write("sys/bus/pci/devices/0000:1a:00.0/vendor", "0x1002\n")
    assert machine.find("hardware").level == "info"
    found = machine.find("kernel driver")
    assert found.finding == "no NVIDIA kernel driver is loaded"
    assert found.remedy.startswith("Install the NVIDIA driver")
    machine.write(".dockerenv")
    assert "host" in machine.find("kernel driver").remedy


def test_without_proc_nothing_is_said_of_the_kernel_driver(machine):
    (machine.root / "proc").rename(machine.root / "not-proc")
    found = machine.find("kernel driver")
    assert (found.level, found.no_driver) == ("warn", False)
    assert "cannot be told" in found.finding


def test_devices_that_answer_outweigh_signs_that_there_is_no_driver(machine):
    machine.remove("proc/driver/nvidia/version", "dev/nvidiactl", "dev/nvidia0")
    machine.write(".dockerenv")
    results = examine(machine.around())
    assert exit_code(results) == 0
    assert {r.found.level for r in results if r.check in ("kernel driver", "container")} == {"info"}
    machine.probe = probed(VERSIONS)
    assert exit_code(examine(machine.around())) == 3


def test_wsl(machine):
    machine.write("proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n")
    machine.remove("proc/driver/nvidia/version", "sys/bus/pci/devices/0000:1a:00.0/vendor")
    assert "Windows" in machine.find("hardware").finding
    assert machine.find("kernel driver").no_driver
    machine.write("dev/dxg")
    assert machine.find("kernel driver").level == "ok"
    machine.probe = probed({"step": "library", "error": "gone"})
    assert "/usr/lib/wsl/lib" in machine.find("library").remedy


def test_nouveau(machine):
    assert machine.says_nothing("nouveau")
    machine.write("proc/modules", "nouveau 2400256 1 - Live 0x0\nvideo 1 0\n")
    assert machine.find("nouveau").level == "warn"
    machine.remove("proc/driver/nvidia/version")
    found = machine.find("nouveau")
    assert (found.level, found.no_driver) == ("fail", True)
    assert "lacklist nouveau" in found.remedy


@pytest.mark.parametrize(
    ("file", "environ", "kind"),
    [
        (".dockerenv", {}, "docker"),
        ("run/.containerenv", {}, "podman"),
        ("etc/hosts", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ("etc/hosts", {"container": "lxc"}, "lxc"),
    ],
)
def test_a_container_without_devices(machine, file, environ, kind):
    assert machine.says_nothing("container")
    machine.write(file)
    machine.environ |= environ
    assert machine.find("container") == Finding("ok", f"a container ({kind}) with GPU devices")
    machine.remove("dev/nvidiactl", "dev/nvidia0")
    found = machine.find("container")
    assert (found.level, found.no_driver) == ("fail", True)
    assert "--gpus all" in found.remedy


def test_no_device_files_beside_a_loaded_driver(machine):
    machine.remove("dev/nvidiactl", "dev/nvidia0")
    assert "nvidia-modprobe" in machine.find("device files").remedy
    machine.remove("proc/driver/nvidia/version")
    assert machine.says_nothing("device files")


def test_device_files_that_may_not_be_opened(tmp_path, machine):
    """Root may open anything, so the check runs as somebody else."""
    code = """
        import os, sys, tempfile
        from pathlib import Path
        from gputop.doctor.driver_checks import device_files
        from gputop.doctor.surroundings import Probe, Surroundings
        from tests.test_doctor import TERMINAL
        root = Path(sys.argv[1])
        if os.getuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        found = device_files(Surroundings(root, {}, root, TERMINAL, Probe()))
        print(found.level, found.finding, found.remedy, sep="|")
    """
    import tempfile

    for mode, group, remedy in ((0o600, 0, "chmod 0666"), (0o660, 4321, "usermod -aG 4321")):
        with tempfile.TemporaryDirectory() as name:
            os.chmod(name, 0o755)
            device = Path(name, "dev/nvidia0")
            device.parent.mkdir()
            device.touch()
            if os.getuid() == 0:
                os.chown(device, 0, group)
            elif group:
                pytest.skip("only root can give a file away")
            device.chmod(mode if os.getuid() == 0 else 0o000)
            done = subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code), name],
                capture_output=True, text=True, timeout=SAFETY_S, check=True,
            )  # fmt: skip
        level, finding, said = done.stdout.strip().split("|")
        assert level == "fail"
        assert finding.startswith("/dev/nvidia0 may not be opened (-rw")
        assert remedy in said


def test_device_files_that_may_be_opened(machine):
    machine.write("dev/nvidia-caps/nvidia-cap1")
    assert machine.find("device files").finding.startswith("2 device files")


def test_the_library_is_absent(machine):
    machine.environ["LD_LIBRARY_PATH"] = "/opt/lib"
    machine.probe = probed({"step": "library", "error": "libnvidia-ml.so.1: No such file"})
    found = machine.find("library")
    assert (found.level, found.no_driver) == ("fail", True)
    assert "No such file" in found.finding
    assert "LD_LIBRARY_PATH (/opt/lib)" in found.finding


@pytest.mark.parametrize(
    ("code", "no_driver", "remedy"),
    [
        (18, False, "reboot, or unload"),
        (9, True, "modprobe nvidia"),
        (4, False, "/dev/nvidia*"),
        (999, False, "daemon-reload"),
        (12345, False, "dmesg"),
    ],
)
def test_nvml_does_not_open(machine, code, no_driver, remedy):
    machine.probe = probed({"step": "opening"}, {"step": "opened", "code": code, "error": "Bad"})
    found = machine.find("opening")
    assert (found.level, found.no_driver) == ("fail", no_driver)
    assert found.finding == f"NVML does not open: Bad ({code})"
    assert remedy in found.remedy
    assert machine.says_nothing("devices")


def test_a_mismatch_names_both_versions(machine):
    machine.probe = probed(
        {"step": "library", "path": "/usr/lib/libnvidia-ml.so.590.10"},
        {"step": "opening"},
        {"step": "opened", "code": 18, "error": "Driver/library version mismatch"},
    )
    said = machine.find("opening").finding
    assert said.endswith("(18): the library is 590.10, the kernel driver 580.95.05")


@pytest.mark.parametrize(
    ("reached", "check", "sentence"),
    [
        ([VERSIONS], "library", "loading the driver's library hangs"),
        ([VERSIONS, {"step": "opening"}], "opening", "opening the driver hangs"),
        (WORKING[:-2], "devices", "reads of device 0 hang"),
        ([], "versions", "does not run: hangs"),
    ],
)
def test_a_hang_is_a_finding(machine, reached, check, sentence):
    machine.probe = probed(*reached, hung=True)
    found = machine.find(check)
    assert found.level == "fail"
    assert sentence in found.finding


def test_a_crash_is_a_finding(machine):
    machine.probe = probed(VERSIONS, {"step": "opening"}, trouble="killed by signal 11")
    assert "broke off (killed by signal 11)" in machine.find("opening").finding
    machine.probe = probed(trouble="python: cannot execute")
    assert "cannot execute" in machine.find("versions").finding


def test_no_devices(machine):
    machine.probe = probed({"step": "opened", "code": 0}, {"step": "count", "count": 0})
    found = machine.find("devices")
    assert (found.level, found.no_driver) == ("fail", True)


def test_one_bad_device_does_not_hide_behind_the_others(machine):
    lost = {"step": "device", "index": 1, "code": 15, "error": "GPU is lost"}
    machine.probe = probed(*WORKING[:6], {"step": "count", "count": 2}, WORKING[7], lost)
    found = machine.find("devices")
    assert (found.level, found.no_driver) == ("fail", False)
    assert found.finding == "device 1 of 2 does not answer: GPU is lost"


def test_pid_namespace(machine):
    assert machine.says_nothing("pid namespace")
    machine.remove("proc/self/ns/pid")
    assert machine.says_nothing("pid namespace")
    (machine.root / "proc/self/ns/pid").symlink_to("pid:[4026532999]")
    assert machine.find("pid namespace").level == "warn"


def test_persistence_mode_off_is_a_notice(machine):
    assert machine.says_nothing("persistence")
    machine.probe = probed({"step": "device", "index": 3, "name": "x", "persistence": False})
    assert machine.find("persistence").finding == "persistence mode is off on device 3"


def test_binding(machine):
    machine.probe = probed({"step": "binding", "path": "/x/pynvml/__init__.py", "genuine": False})
    assert "is not NVIDIA's pynvml" in machine.find("binding").finding
    machine.probe = probed({"step": "binding", "error": "SyntaxError: no"})
    assert machine.find("binding").level == "fail"
    both = VERSIONS | {"distributions": {"pynvml": "11.5.3"}}
    machine.probe = probed(both, {"step": "binding", "path": "/x/pynvml.py", "genuine": True})
    assert machine.find("binding").level == "warn"


def test_a_needed_distribution_is_absent(machine):
    machine.probe = probed(VERSIONS | {"distributions": {"textual": None, "pynvml": None}})
    assert machine.find("versions").finding == "not installed: textual"


@pytest.mark.parametrize("file", ["pynvml.py", "psutil/__init__.py"])
def test_modules_in_the_working_folder(machine, file):
    assert machine.says_nothing("working folder")
    (machine.folder / file).parent.mkdir(exist_ok=True)
    (machine.folder / file).touch()
    assert machine.find("working folder").level == "warn"


def test_terminal(machine):
    machine.environ["TMUX"] = "/tmp/tmux"
    assert machine.find("terminal").finding == "TERM is xterm-256color, inside tmux"
    machine.environ["TERM"] = "dumb"
    assert machine.find("terminal").level == "fail"
    machine.terminal = Terminal(False, 80, 24, "utf-8")
    assert machine.find("terminal").level == "info"
    assert machine.says_nothing("colours")
    assert machine.says_nothing("size")


def test_colors(machine):
    assert machine.find("colours").finding == "256 colours"
    machine.terminal = Terminal(True, 80, 24, "utf-8", colors=None)
    assert "terminfo does not know TERM=xterm-256color" in machine.find("colours").finding
    machine.environ["COLORTERM"] = "truecolor"
    assert machine.find("colours").level == "ok"
    machine.environ["NO_COLOR"] = "1"
    assert "NO_COLOR" in machine.find("colours").finding


@pytest.mark.parametrize(
    ("columns", "rows", "level"), [(60, 15, "ok"), (59, 15, "warn"), (60, 14, "warn")]
)
def test_size(machine, columns, rows, level):
    machine.terminal = Terminal(True, columns, rows, "utf-8")
    assert machine.find("size").level == level


@pytest.mark.parametrize(
    ("name", "level"), [("UTF-8", "ok"), ("utf8", "ok"), ("ANSI_X3.4-1968", "warn")]
)
def test_encoding(machine, name, level):
    machine.terminal = Terminal(True, 80, 24, name)
    assert machine.find("encoding").level == level


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([Finding("warn", "x")], 0),
        ([Finding("fail", "x")], 1),
        ([Finding("fail", "x"), Finding("fail", "y", no_driver=True)], 3),
        ([Finding("warn", "y", no_driver=True)], 0),
    ],
)
def test_exit_code(findings, code):
    assert exit_code([Result("check", found) for found in findings]) == code


# --- Output -------------------------------------------------------------------------------------

RESULTS = [
    Result("first", Finding("ok", "all is well")),
    Result("second one", Finding("fail", "bad \x1b[2J " + "word " * 40, "Do this.")),
]


def test_text_is_aligned_safe_and_colored_on_a_terminal(machine):
    text = as_text(RESULTS, 1, machine.around())
    assert "\x1b[31m✗ fail\x1b[0m  second one  bad ␛[2J" in text
    assert "\x1b[2J" not in text
    machine.environ["NO_COLOR"] = "1"
    lines = as_text(RESULTS, 1, machine.around()).splitlines()
    assert lines[0] == "✓ ok    first       all is well"
    assert lines[1].startswith("✗ fail  second one  bad")
    assert lines[2].startswith(" " * 20 + "word")
    assert max(map(len, lines)) <= 110
    assert " " * 20 + "→ Do this." in lines


def test_text_is_ascii_where_the_terminal_is(machine):
    machine.environ["NO_COLOR"] = "1"
    machine.terminal = Terminal(True, 80, 24, "ascii")
    text = as_text(RESULTS, 1, machine.around())
    assert text.isascii()
    assert text.startswith("+ ok    first")
    assert "-> Do this." in text


def test_no_colors_into_a_pipe(machine):
    machine.terminal = Terminal(False, 80, 24, "utf-8")
    assert "\x1b" not in as_text(RESULTS, 1, machine.around())


def test_json():
    document = json.loads(as_json(RESULTS, 3))
    assert (document["works"], document["exit_code"]) == (False, 3)
    assert document["checks"][0] == {
        "check": "first", "level": "ok", "finding": "all is well", "remedy": None,
    }  # fmt: skip


# --- The probe itself ---------------------------------------------------------------------------


def fake_binding(folder: Path, body: str) -> dict[str, str]:
    """An environment whose pynvml is ours."""
    (folder / "pynvml.py").write_text(textwrap.dedent(body))
    return {**os.environ, "PYTHONPATH": str(folder)}


WORKING_BINDING = """
    class NVMLError(Exception):
        def __init__(self, value): self.value = value
        def __str__(self): return "GPU is lost"
    def _nvmlGetFunctionPointer(name): ...
    def nvmlInit(): ...
    def nvmlSystemGetDriverVersion(): return b"999.1"
    def nvmlDeviceGetCount(): return 2
    def nvmlDeviceGetHandleByIndex(index):
        if index: raise NVMLError(15)
    def nvmlDeviceGetName(handle): return "Fake"
    def nvmlDeviceGetPersistenceMode(handle): return 0
"""


def test_the_probe_reports_every_device(tmp_path):
    probe = ask(environ=fake_binding(tmp_path, WORKING_BINDING), timeout_s=SAFETY_S)
    assert not probe.hung
    assert probe.get("driver") == {"version": "999.1"}
    assert probe.devices == [
        {"index": 0, "name": "Fake", "persistence": False},
        {"index": 1, "code": 15, "error": "GPU is lost"},
    ]
    assert probe.get("versions")["distributions"]["msgspec"]


def test_the_probe_finds_a_foreign_binding(tmp_path):
    probe = ask(environ=fake_binding(tmp_path, "def nvmlInit(): ..."), timeout_s=SAFETY_S)
    assert probe.get("binding") == {"path": str(tmp_path / "pynvml.py"), "genuine": False}
    assert "opening" not in probe.steps


def test_the_working_folder_does_not_fool_the_probe(tmp_path, monkeypatch):
    (tmp_path / "pynvml.py").write_text("raise SystemExit('fooled')")
    monkeypatch.chdir(tmp_path)
    probe = ask(timeout_s=SAFETY_S)
    assert probe.get("binding")["genuine"] is True


def test_a_probe_that_hangs_is_killed_and_what_it_said_is_kept(tmp_path):
    hanging = WORKING_BINDING.replace(
        "def nvmlInit(): ...",
        f"""def nvmlInit():
        import os, time
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        time.sleep(3600)""",
    )
    probe = ask(environ=fake_binding(tmp_path, hanging), timeout_s=5.0)
    assert probe.hung
    assert "opening" in probe.steps
    assert "opened" not in probe.steps
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_probe_that_crashes_says_how(tmp_path):
    crashing = WORKING_BINDING.replace(
        "def nvmlInit(): ...", "def nvmlInit():\n        import os; os.kill(os.getpid(), 11)"
    )
    probe = ask(environ=fake_binding(tmp_path, crashing), timeout_s=SAFETY_S)
    assert not probe.hung
    assert probe.trouble == "killed by signal 11"


def test_foreign_output_is_ignored():
    code = "print('noise'); print('[1]'); print('{\"step\": \"done\"}'); print('{\"a\": 1}')"
    probe = ask([sys.executable, "-c", code], timeout_s=SAFETY_S)
    assert probe.steps == {"done": {}}


@pytest.fixture
def driver_library():
    if compiler() is None:
        pytest.skip("no C compiler to build the fake driver")
    return fake_driver.build()


def test_the_probe_asks_a_driver_through_the_real_binding(tmp_path, driver_library):
    scenario = fake_driver.Scenario(tmp_path / "s", fake_driver.h100s(2), library=driver_library)
    probe = ask(environ={**os.environ, **scenario.env()}, timeout_s=SAFETY_S)
    assert probe.get("opened") == {"code": 0}
    assert probe.get("count") == {"count": 2}
    assert [device["index"] for device in probe.devices] == [0, 1]
    assert str(driver_library) in probe.get("library")["path"]


def test_a_mismatched_library_is_told_from_a_missing_one(tmp_path, driver_library):
    scenario = fake_driver.Scenario(tmp_path / "s", {"init.error": 18}, library=driver_library)
    probe = ask(environ={**os.environ, **scenario.env()}, timeout_s=SAFETY_S)
    assert probe.get("opened")["code"] == 18
    missing = ask(timeout_s=SAFETY_S)
    assert missing.get("opened").get("code") != 18


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_the_command_runs_here(flag):
    done = subprocess.run(
        [sys.executable, "-m", "gputop", "doctor", *flag],
        capture_output=True, text=True, timeout=SAFETY_S, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    if flag:
        document = json.loads(done.stdout)
        assert document["exit_code"] == done.returncode
        assert {c["check"] for c in document["checks"]} <= set(CHECKS)
    else:
        assert "versions" in done.stdout
    assert done.returncode in (0, 1, 3)


def test_checks_live_in_the_table():
    for module in (driver_checks, program_checks):
        assert any(check.__module__ == module.__name__ for check in CHECKS.values())
