"""The simulated machine comes to every verdict within its first minutes."""

from gputop.insight.verdict_book import VerdictBook
from gputop.insight.verdict_rules import RULES
from gputop.model.frame import Frame
from gputop.state.store import Store
from tests.demo_records import demo_records
from tests.insight.test_demo_shows_all import SECONDS


def verdicts_seen() -> dict[str, set[str]]:
    """The places (indices; of MIG instances with a letter) at which each verdict stood."""
    store, book = Store(), VerdictBook()
    seen: dict[str, set[str]] = {}
    for record in demo_records(8, SECONDS):
        store.apply(record)
        if isinstance(record, Frame):
            book.update(store)
            for device in store.devices:
                for one in (device, *store.instances(device.uuid)):
                    verdict = book.of(one.uuid)
                    if verdict is not None:
                        mig = "m" if one.info.parent else ""
                        seen.setdefault(verdict.key, set()).add(f"{one.info.index}{mig}")
    return seen


def test_every_verdict_stands_where_the_stories_say():
    seen = verdicts_seen()
    assert seen == {
        "compute_bound": {"0", "5"},
        "straggler": {"0"},
        "starved": {"1"},
        "memory_bound": {"2", "0m"},
        "pcie": {"2"},
        "idle_holding": {"3"},
        "latched": {"3"},
        "power_capped": {"4"},
        "thermal": {"5"},
        "launch_bound": {"6"},
        "healthy": {"2m"},
    }
    assert seen.keys() == {rule.key for rule in RULES}
