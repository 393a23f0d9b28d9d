"""Who waits for a version is told of it, also when the notice came a moment before."""

from event_store import notices
from event_store.notices import Notices


def test_who_waits_hears_of_his_version_or_a_later_one() -> None:
    told = Notices()
    with told.waiter("org", "key", 2) as waiter:
        told.hear("key 1 org")
        told.hear("other 2 org")
        told.hear("key 2 of another org")
        assert not waiter.seen
        told.hear("key 3 org")
        assert waiter.seen
        assert waiter.woken.is_set()


def test_who_comes_a_moment_late_hears_of_it_too() -> None:
    told = Notices()
    told.hear("key 2 org")
    with told.waiter("org", "key", 2) as waiter:
        assert waiter.seen
    with told.waiter("org", "key", 3) as waiter, told.waiter("other", "key", 1) as stranger:
        assert (waiter.seen, stranger.seen) == (False, False)


def test_only_the_newest_notices_are_remembered() -> None:
    told = Notices()
    for number in range(notices._REMEMBERED + 1):  # pyright: ignore[reportPrivateUsage] - the bound itself
        told.hear(f"{number} 1 org")
    with told.waiter("org", "0", 1) as first, told.waiter("org", "1", 1) as second:
        assert (first.seen, second.seen) == (False, True)


def test_when_notices_may_be_lost_everybody_is_woken_to_look() -> None:
    told = Notices()
    with told.waiter("org", "key", 1) as waiter:
        told.wake_all()
        assert waiter.woken.is_set()
        assert not waiter.seen
