"""A day in minutes: gputop under a machine on which something happens all the time.

    python -m tests.soak --hours 24 --json /tmp/soak.json

Eight devices and 200 processes live through `script.py`, hour by hour: devices run hot, get lost
and come back, stop answering, vanish from the list; the driver goes away; Xids; a MIG layout that
changes; some 170 large processes an hour that end. All of it is real but the machine and the clock:
the collector's loop, writer and pipe in a process of their own, and gputop's source, store,
history, warnings and screens on a terminal, where screens are opened and closed. Time goes as fast
as both take it; the screen draws one frame of `--draw-every`.

It prints a line for every simulated hour, taken in its calm last minutes: resident memory of both
processes, files and threads (screen + collector), asyncio's tasks and timers, widgets, Python's
objects, frames taken and drawn, and how many warnings have begun and how many should have. It
fails when one of these grows beyond the first hour's (`run.problems` says by how much is growth),
and when a warning was lost, came twice, did not end, or is no longer listed.

History is reserved at once, but the kernel gives it page by page, and all of it after half an hour
of a series. What was given is counted and set apart, so that it hides nothing.
"""
