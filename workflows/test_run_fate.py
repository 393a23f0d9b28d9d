"""What becomes of a run whose machine is not as it should be: is the guest wrong, or the factory?"""

from temporalio import workflow

from workflows.vm_models import VmBrief

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail
    from domain.errors import Problem

_NOT_THE_GUESTS = frozenset({"fleet", "host", "hypervisor", "lease", "machine", "network", "vm"})
"""Of codes of problems: whose they are. `guest.…`, `boot.…` and `image.…` are about what is tested."""


def what_it_says(slot: str, brief: VmBrief) -> FailureDetail:
    """Take the machine's own words. A lost one is the factory's fault, whatever it says."""
    problems = tuple(at(slot, problem) for problem in brief.problems)
    if brief.status == "lost" or not problems:
        words = "was lost" if brief.status == "lost" else f"is {brief.status}"
        code = "machine.lost" if brief.status == "lost" else "vm.gone"
        problems = problems or (gone(code, f"the machine `{slot}` {words} while the run needed it"),)
        return FailureDetail(kind="fault", problems=problems)
    return whose(problems)


def whose(problems: tuple[Problem, ...]) -> FailureDetail:
    """Tell a guest that is wrong from a machine that could not be had, which says nothing about the guest."""
    faulty = any(problem.retryable or problem.code.partition(".")[0] in _NOT_THE_GUESTS for problem in problems)
    return FailureDetail(kind="fault" if faulty else "verdict", problems=problems)


def at(slot: str, problem: Problem) -> Problem:
    """Say of which machine a problem is."""
    return problem.model_copy(update={"message": f"{slot}: {problem.message}"})


def gone(code: str, message: str) -> Problem:
    """Make the problem of a machine that is no more."""
    return Problem(code=code, message=message, retryable=True, next="Run it again: this says nothing about the image.")
