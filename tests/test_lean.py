"""Imports that leave out what gputop does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gputop.lean import importing_with
from tests.builds import compiler
from tests.fake_driver import Scenario, build, h100s


def run(code: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)


def test_a_stand_in_is_found_only_within() -> None:
    name = "a_module_that_nobody_has"
    stand_in = ModuleType(name)
    with importing_with({name: stand_in}):
        assert __import__(name) is stand_in
    with pytest.raises(ImportError):
        __import__(name)


def test_a_module_that_is_there_stays() -> None:
    with importing_with({"os": None}):
        assert __import__("os") is os
    assert sys.modules["os"] is os


def test_what_was_hidden_can_be_imported_behind_it() -> None:
    code = (
        "import sys\n"
        "from gputop.lean import import_asyncio, import_msgspec\n"
        "import_msgspec(); import_asyncio()\n"
        "print({'typing_extensions', 'ssl'} & set(sys.modules))\n"
        "import ssl, typing_extensions\n"
        "print(ssl.create_default_context, typing_extensions.TypedDict)\n"
    )
    done = run(code)
    assert done.stdout.startswith("set()\n<function create_default_context"), done.stderr


@pytest.mark.skipif(compiler() is None, reason="no C compiler")
def test_a_collector_carries_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from gputop import __main__ as main\n"
        "main.run(sys.argv[1:])\n"
        "print(*sys.modules, file=sys.stderr)\n"
        "from ctypes.util import find_library\n"
        "import pynvml\n"
        "print(pynvml.find_library('c') == find_library('c'), file=sys.stderr)\n"
    )
    scenario = Scenario(tmp_path / "scenario", h100s(2), library=build())
    # The kernel's log here is a file: where it is denied, journalctl has to be run.
    env = {**scenario.env(), "GPUTOP_KERNEL_LOG": "/dev/null"}
    done = run(code, "stream", "--count", "1", **env)
    modules, same = done.stderr.strip().rsplit("\n", 1)
    strangers = {"typing_extensions", "inspect", "shutil", "subprocess", "tempfile", "asyncio"}
    assert strangers & set(modules.split()) == set()
    assert "pynvml" in modules.split()
    assert same == "True", "what pynvml could ask for is still there"
