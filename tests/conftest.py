"""What holds for every test."""

from hypothesis import settings

# Machines that run tests are busy: how long an example takes says nothing. (On top of the profile
# that hypothesis chooses by itself, which in CI is the repeatable one.)
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")
