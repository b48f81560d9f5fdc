"""`gputop stream` on a machine of `machines.py`: run as a program, its first argument a Python
dict of what `FakeDevices` is made with (`host="linux"` reads this machine's own load).
"""

from __future__ import annotations

import ast
import sys
from typing import Any

import gputop.commands.stream as stream
from gputop.__main__ import main
from gputop.collect.backend import Machine
from gputop.collect.host import this_host
from tests.collect.machines import FakeDevices, FakeHost, device


def machine(wanted: dict[str, Any]) -> Machine:
    host = this_host() if wanted.pop("host", "") == "linux" else FakeHost()
    inventory = [device(index) for index in range(wanted.pop("devices", 2))]
    return Machine(FakeDevices(inventory=inventory, **wanted), host)


if __name__ == "__main__":
    asked = ast.literal_eval(sys.argv.pop(1))
    stream.machine_from = lambda args, **_: machine(asked)
    main()
