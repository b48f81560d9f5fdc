"""The table of checks, in the order in which causes come before effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gputop.doctor import driver_checks, program_checks
from gputop.doctor.surroundings import Finding, Surroundings
from gputop.errors import EXIT_FAILED, EXIT_NO_DRIVER

Check = Callable[[Surroundings], Finding | None]
"""Answers None where there is nothing to say."""

CHECKS: dict[str, Check] = {
    "versions": program_checks.versions,
    "binding": program_checks.binding,
    "working folder": program_checks.working_folder,
    "hardware": driver_checks.hardware,
    "kernel driver": driver_checks.kernel_driver,
    "nouveau": driver_checks.nouveau,
    "container": driver_checks.container,
    "device files": driver_checks.device_files,
    "library": driver_checks.library,
    "opening": driver_checks.opening,
    "devices": driver_checks.devices,
    "pid namespace": driver_checks.pid_namespace,
    "persistence": driver_checks.persistence,
    "kernel log": driver_checks.kernel_log,
    "terminal": program_checks.terminal_type,
    "colours": program_checks.colors,
    "size": program_checks.size,
    "encoding": program_checks.encoding,
}


@dataclass(frozen=True, slots=True)
class Result:
    """A finding under its check's name."""

    check: str
    found: Finding


def examine(around: Surroundings) -> list[Result]:
    """Run every check.

    Where devices answer, a sign that there is no driver (a sandbox may hide its files) is a note.
    """
    answers = {name: found for name, check in CHECKS.items() if (found := check(around))}
    devices = answers.get("devices")
    works = devices is not None and devices.level == "ok"
    return [
        Result(name, Finding("info", found.finding) if works and found.no_driver else found)
        for name, found in answers.items()
    ]


def exit_code(results: list[Result]) -> int:
    """0 when all works, 3 when there is no driver or no device, 1 when something else fails."""
    failures = [result.found for result in results if result.found.level == "fail"]
    if any(failure.no_driver for failure in failures):
        return EXIT_NO_DRIVER
    return EXIT_FAILED if failures else 0
