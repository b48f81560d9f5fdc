"""What holds for every test."""

import os
import signal

from hypothesis import settings

from tests import builds

# Machines that run tests are busy: how long an example takes says nothing. (On top of the profile
# that hypothesis chooses by itself, which in CI is the repeatable one.)
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")

# The program is started hundreds of times. Where the environment forbids bytecode, each start
# would compile all of it: half a second of CPU, of its collector's besides.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell gives what it starts in the background no Ctrl-C, and `nohup` no SIGHUP; children inherit
# that.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Made before the workers start, so that they share it.
builds.folder()
