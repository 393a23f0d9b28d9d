"""Token buckets: a burst, then a steady rate, and only so much open at once."""

import pytest

from domain.caller import Caller
from domain.errors import RateLimited
from domain.plan import Rate, plan_of
from service.admission.buckets import Buckets
from service.admission.networks import network_of
from service.limits import GUESTS_OF_A_NETWORK, STRANGERS, Limits
from tests.fakes.factory import GUEST, OPERATOR, READER

RATE = Rate(per_second=2, burst=3, at_once=2, bytes_per_second=10, burst_bytes=100)
GUEST_RATE = plan_of("guest").rate


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits(Buckets(clock))


def test_a_bucket_gives_its_burst_and_then_its_rate(clock: Clock) -> None:
    buckets = Buckets(clock)
    assert [buckets.take("a", RATE) for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.5
    assert [buckets.take("a", RATE) for _ in range(2)] == [0, 0.5]
    clock.now += 3600
    assert [buckets.take("a", RATE) for _ in range(4)] == [0, 0, 0, 0.5]


def test_buckets_do_not_share_and_only_the_latest_are_remembered(clock: Clock) -> None:
    buckets = Buckets(clock, most=2)
    for _ in range(3):
        assert buckets.take("a", RATE) == 0
    assert buckets.take("b", RATE) == 0
    assert buckets.take("a", RATE) > 0
    assert buckets.take("c", RATE) == 0
    assert buckets.take("a", RATE) > 0
    assert buckets.take("d", RATE) == 0
    assert [buckets.take("c", RATE) for _ in range(3)] == [0, 0, 0]  # was forgotten, so it is full again


def test_bytes_have_a_bucket_of_their_own_and_what_is_larger_than_it_takes_a_full_one(clock: Clock) -> None:
    buckets = Buckets(clock)
    assert [buckets.take_bytes("a", RATE, size) for size in (60, 60, 40, 1)] == [0, 2, 0, 0.1]
    assert buckets.take("a", RATE) == 0
    clock.now += 9
    assert buckets.take_bytes("a", RATE, 10**9) == 1
    clock.now += 1
    assert [buckets.take_bytes("a", RATE, size) for size in (10**9, 1)] == [0, 0.1]


def test_a_caller_who_sends_too_much_is_told_when_to_come_back(limits: Limits, clock: Clock) -> None:
    limits.sent(GUEST, GUEST_RATE.burst_bytes, "192.0.2.1")
    with pytest.raises(RateLimited, match="bytes a second") as refused:
        limits.sent(GUEST, 10 * GUEST_RATE.bytes_per_second, "192.0.2.1")
    assert (refused.value.code, refused.value.retry_after) == ("rate.limited", 10)
    assert refused.value.problems[0].retryable
    assert "send less" in str(refused.value.problems[0].next)
    limits.sent(OPERATOR, 1 << 30, "192.0.2.1")
    clock.now += 10
    limits.sent(GUEST, 10 * GUEST_RATE.bytes_per_second, "192.0.2.1")


def test_guests_of_one_network_share_its_bytes_and_lose_none_of_their_own_to_a_refusal(
    limits: Limits, clock: Clock
) -> None:
    def guest(number: int) -> Caller:
        return GUEST.model_copy(update={"org_id": f"guest-{number}", "subject": f"guest {number}"})

    most = GUEST_RATE.burst_bytes
    for number in range(GUESTS_OF_A_NETWORK.burst_bytes // most):
        limits.sent(guest(number), most, "192.0.2.1")
    with pytest.raises(RateLimited, match="your address"):
        limits.sent(guest(-1), most, "192.0.2.1")
    limits.sent(guest(-1), most, "198.51.100.1")


def test_a_caller_who_asks_too_much_is_told_when_to_come_back(limits: Limits, clock: Clock) -> None:
    rate = plan_of(READER.plan).rate
    for _ in range(rate.burst):
        with limits.entered(READER, "192.0.2.1"):
            pass
    with pytest.raises(RateLimited) as refused, limits.entered(READER, "192.0.2.1"):
        pass
    assert refused.value.code == "rate.limited"
    assert refused.value.retry_after >= 1
    assert refused.value.problems[0].retryable
    with limits.entered(OPERATOR, "192.0.2.1"):
        pass
    clock.now += 1 / rate.per_second
    with limits.entered(READER, "192.0.2.1"):
        pass


def test_only_so_many_requests_are_open_at_once_and_an_end_makes_room(limits: Limits) -> None:
    most = plan_of("guest").rate.at_once
    held = [limits.entered(GUEST, "192.0.2.1") for _ in range(most)]
    for each in held:
        each.__enter__()
    with pytest.raises(RateLimited, match="open"), limits.entered(GUEST, "192.0.2.1"):
        pass
    held[0].__exit__(None, None, None)
    with limits.entered(GUEST, "192.0.2.1"):
        pass


def test_many_guests_of_one_network_share_its_limit_and_others_do_not(limits: Limits) -> None:
    def guest(number: int) -> None:
        who = GUEST.model_copy(update={"org_id": f"guest-{number}", "subject": f"guest {number}"})
        with limits.entered(who, "192.0.2.1"):
            pass

    for number in range(GUESTS_OF_A_NETWORK.burst):
        guest(number)
    with pytest.raises(RateLimited):
        guest(-1)
    with limits.entered(GUEST, "198.51.100.1"), limits.entered(OPERATOR, "192.0.2.1"):
        pass


def test_wrong_keys_are_limited_by_network_and_right_ones_never_by_them(limits: Limits) -> None:
    for _ in range(STRANGERS.burst):
        limits.refuse_stranger("192.0.2.1")
    with pytest.raises(RateLimited):
        limits.refuse_stranger("192.0.2.1")
    limits.refuse_stranger("198.51.100.1")
    with limits.entered(OPERATOR, "192.0.2.1"):
        pass


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7 ", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.0.0.1", "unknown"),
        ("x" * 9999, "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_an_address_is_counted_by_the_network_that_one_subscriber_has(address: str | None, network: str) -> None:
    assert network_of(address) == network
