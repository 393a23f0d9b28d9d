"""Whether a suite can be run as it is, known before anything is started; and what a run of it does."""

from typing import Any

import pytest

from domain.errors import Verdict
from domain.recipe.schema import Recipe
from domain.suite.parse import parse_suite
from domain.suite.readiness import Readiness, Target, judge
from domain.test_run.inputs import RunMachine, RunPlan, RunTarget
from domain.test_run.planning import plan_verification
from domain.test_run.suite_plan import Selection, plan_suite
from domain.vm.spec import ImageRef

SUITE: dict[str, Any] = {
    "name": "smoke",
    "slots": ["primary", {"name": "client", "required": False}],
    "predefined": ["boot"],
    "setup": [{"action": "put_file", "path": "/x", "text": "t"}],
    "cases": [
        {"name": "web", "tags": ["fast"], "steps": [{"type": "service_running", "params": {"service": "nginx"}}]},
        {
            "name": "reach",
            "slot": "client",
            "steps": [{"type": "http_responds", "params": {"url": "http://${slot:primary}/"}}],
        },
    ],
    "teardown": [{"action": "command", "command": "true", "slot": "client"}],
}


def recipe(**more: object) -> Recipe:
    return Recipe.model_validate({"name": "web", "baseImage": "debian-bookworm", "packages": ["nginx"], **more})


def target(slot: str = "primary", image_format: str = "qcow2", **more: Any) -> Target:
    image = ImageRef.model_validate(
        {"digest": "ab" * 32, "bytes": 1, "format": image_format, "source": "build", "source_id": "b"}
    )
    known: dict[str, Any] = {"image": image, "recipe": recipe(), "verified": True, "format": image_format} | more
    return Target(slot=slot, source="build", source_id="b", **known)


def judged(document: dict[str, Any] | None = None, *targets: Target) -> Readiness:
    return judge(parse_suite(document or SUITE), {t.slot: t for t in targets})


def problems(found: Readiness) -> dict[str | None, str]:
    return {problem.path: problem.code for problem in found.problems}


def warnings(found: Readiness) -> dict[str | None, str]:
    return {problem.path: problem.code for problem in found.warnings}


def test_a_suite_whose_slots_are_bound_is_ready() -> None:
    found = judged(None, target(), target("client"))
    assert (found.ready, found.unbound, found.problems, found.warnings) == (True, (), (), ())


def test_a_slot_without_an_image_stands_in_the_way_unless_it_is_optional() -> None:
    assert problems(judged()) == {"slots[0]": "suite.unbound_slot"}
    found = judged(None, target())
    assert (found.ready, found.unbound) == (True, ("client",))
    assert warnings(found) == {"cases[1]": "suite.case_left_out", "teardown": "suite.case_left_out"}


def test_slots_that_the_suite_does_not_have_are_named_with_the_one_that_was_meant() -> None:
    document = {
        **SUITE,
        "cases": [
            {
                "name": "x",
                "slot": "prmary",
                "steps": [{"action": "command", "command": "ping ${slot:clint}", "slot": "server"}],
            }
        ],
    }
    found = judged(document, target(), target("client"))
    assert problems(found) == {
        "cases[0].slot": "suite.unknown_slot",
        "cases[0].steps[0].slot": "suite.unknown_slot",
        "cases[0].steps[0].command": "suite.unknown_slot",
    }
    assert found.problems[0].suggestions == ("primary",)


def test_a_suite_that_checks_nothing_is_not_ready() -> None:
    assert problems(judged({"name": "empty"}, target())) == {"cases": "suite.nothing_to_run"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"image": None, "status": "building"}, "suite.target_not_ready"),
        ({"image": None, "status": "failed"}, "suite.target_has_no_image"),
        ({"image": None, "status": "absent"}, "suite.target_not_found"),
        ({"recipe": recipe(guestAgent=False)}, "suite.unreachable_image"),
    ],
)
def test_an_image_that_cannot_be_used_stands_in_the_way(change: dict[str, Any], code: str) -> None:
    found = judged(None, target(**change), target("client"))
    assert problems(found) == {"targets.primary": code}


def test_ssh_is_a_way_in_without_the_guest_agent() -> None:
    over_ssh = recipe(guestAgent=False, services=[{"name": "ssh", "config": {"allow_root": True}}])
    assert judged(None, target(recipe=over_ssh), target("client")).ready


@pytest.mark.parametrize(
    ("step", "holds"),
    [
        ({"type": "service_running", "params": {"service": "nginx"}}, True),
        ({"type": "service_running", "params": {"service": "postgresql"}}, False),
        ({"type": "service_running", "params": {"service": "postgresql"}, "not": True}, True),
        ({"type": "package_installed", "params": {"package": "nginx"}}, True),
        ({"type": "package_installed", "params": {"package": "qemu-guest-agent"}}, True),
        ({"type": "package_installed", "params": {"package": "curl"}}, False),
        ({"type": "user_exists", "params": {"username": "root"}}, True),
        ({"type": "user_exists", "params": {"username": "deploy"}}, False),
        ({"action": "wait", "until": {"type": "user_exists", "params": {"username": "deploy"}}}, False),
        ({"type": "service_enabled", "params": {"service": "nginx"}}, True),
    ],
)
def test_what_the_recipe_speaks_against_is_doubted_and_not_refused(step: dict[str, Any], holds: bool) -> None:
    document = {"name": "s", "cases": [{"name": "c", "steps": [step]}]}
    found = judged(document, target())
    assert found.ready
    assert bool(found.warnings) is not holds


def test_a_disabled_service_is_doubted() -> None:
    off = recipe(services=[{"name": "nginx", "enabled": False}])
    assert "suite.may_not_hold" in warnings(judged(None, target(recipe=off), target("client"))).values()


def test_an_iso_without_a_disk_and_an_unverified_image_are_remarked_on() -> None:
    found = judged(None, target(image_format="iso", verified=False), target("client"))
    assert found.ready
    assert set(warnings(found).values()) == {"suite.iso_without_disk", "suite.target_unverified"}


def test_an_uploaded_image_cannot_be_compared_with_a_recipe() -> None:
    document = {"name": "s", "predefined": ["login"]}
    assert warnings(judged(document, target(recipe=None))) == {"targets.primary": "suite.no_recipe"}


def planned(*slots: str, **more: Any) -> RunPlan:
    targets = {slot: target(slot) for slot in slots or ("primary", "client")}
    return plan_suite(parse_suite(SUITE), RunTarget(kind="suite", id="s"), targets, **more)


def names(plan: RunPlan) -> list[str]:
    return [case.name for case in plan.cases]


def test_a_run_begins_with_predefined_tests_and_ends_with_the_teardown() -> None:
    plan = planned()
    assert names(plan) == ["boot@primary", "boot@client", "setup", "web", "reach", "teardown"]
    assert [step.slot for case in plan.cases for step in case.steps] == ["primary", "primary", "client", "client"]
    assert [machine.slot for machine in plan.machines] == ["primary", "client"]


def test_what_needs_a_missing_machine_is_left_out() -> None:
    assert names(planned("primary")) == ["boot@primary", "setup", "web"]


def test_cases_are_chosen_by_name_or_tag_and_setup_stays() -> None:
    assert names(planned(selection=Selection(cases=("reach",)))) == ["setup", "reach", "teardown"]
    assert names(planned(selection=Selection(tags=("fast",)))) == ["setup", "web", "teardown"]
    assert names(planned(selection=Selection(cases=("boot",))))[:2] == ["boot@primary", "boot@client"]


@pytest.mark.parametrize(
    ("selection", "code"),
    [(Selection(cases=("wbe",)), "suite.unknown_case"), (Selection(tags=("slow",)), "suite.nothing_selected")],
)
def test_a_choice_of_nothing_is_refused_with_what_there_is(selection: Selection, code: str) -> None:
    with pytest.raises(Verdict) as caught:
        planned(selection=selection)
    assert caught.value.code == code
    assert caught.value.problems[0].suggestions


def test_a_verification_is_the_default_tests_and_the_recipes_own() -> None:
    claims = [{"type": "port_listening", "params": {"port": 80}}]
    tested = recipe(tests=[{"description": "it serves", "assertions": claims}]).model_dump(mode="json", by_alias=True)
    image = target().image
    plan = plan_verification(
        "web", RunTarget(kind="build", id="b"), RunMachine(slot="primary", image=image, recipe=tested)
    )
    assert names(plan) == ["boot", "login", "packages", "network", "services", "recipe: it serves"]
    unknown = plan_verification("vm", RunTarget(kind="vm", id="v"), RunMachine(slot="primary", vm_id="v"))
    assert names(unknown) == ["boot", "network", "no-failed-units"]
