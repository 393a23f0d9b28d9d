from cli.stack.restarts import Deaths, RestartPolicy

POLICY = RestartPolicy(first=1.0, longest=8.0, calm=60.0, give_up_deaths=5, give_up_seconds=120.0)


def test_each_death_in_a_row_doubles_the_pause_up_to_the_longest() -> None:
    deaths = Deaths(POLICY, now=0.0)
    assert [deaths.died(float(n)) for n in range(6)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_part_that_ran_calmly_starts_afresh() -> None:
    deaths = Deaths(POLICY, now=0.0)
    deaths.died(1.0)
    deaths.died(2.0)
    deaths.started(3.0)
    assert deaths.died(63.0) == 1.0
    assert deaths.count == 3


def test_a_part_is_hopeless_after_its_last_death() -> None:
    deaths = Deaths(POLICY, now=0.0)
    for n in range(4):
        deaths.died(float(n))
    assert not deaths.hopeless(4.0)
    deaths.died(4.0)
    assert deaths.hopeless(4.0)


def test_a_part_that_is_slow_to_fail_is_hopeless_after_the_last_second() -> None:
    deaths = Deaths(POLICY, now=10.0)
    deaths.died(100.0)
    assert not deaths.hopeless(129.0)
    assert deaths.hopeless(130.0)
