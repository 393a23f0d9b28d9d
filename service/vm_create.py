"""Making a machine from a build or an uploaded image, once for each request key."""

import re
from typing import Literal

from domain.artifacts import Verification
from domain.build.state import BuildState
from domain.caller import Caller
from domain.errors import Fault, Verdict
from domain.metering import minutes_of
from domain.model import Value
from domain.plan import Plan, check_quota, check_spec, needs, plan_of
from domain.verification import Firmware
from domain.vm.inputs import VmRequest
from domain.vm.spec import ImageRef, VmSpec
from domain.vm.state import VmState
from domain.vm.views import VmView
from service.allowances import minutes_left
from service.build_create import VISIBLE_SECONDS
from service.factory import Factory
from service.ids import derived_id, is_build_id
from service.lookup import build_id_of, require_kept
from service.lookup import not_found as build_not_found
from service.model_errors import problems_of
from service.permissions import require
from service.suite_targets import of_build
from service.vm_lookup import vm_state
from service.vm_view import accepted, vm_view
from workflows.vm_models import VmInput

TOOL = "create_vm"
_USUAL_TTL = 4 * 3600
_UNFIT = re.compile(r"[^a-z0-9]+")


class VmWish(Value):
    """What somebody asks of a machine. What is None has a default that fits the plan and the image."""

    build_id: str | None = None
    image_id: str | None = None
    artifact: Literal["qcow2", "iso"] | None = None
    name: str | None = None
    memory: int = 1024
    cpus: int = 1
    disk_gb: int | None = None
    ttl_minutes: int | None = None
    persistent: bool = False
    firmware: Firmware | None = None
    egress: bool | None = None
    networks: tuple[str, ...] = ()
    forwards: tuple[int, ...] = ()
    idle_stop_minutes: int | None = None


class _Image(Value):
    """The image that is meant, what is known of it, and how it was booted when it was tested."""

    ref: ImageRef
    verification: Verification
    firmware: Firmware
    name: str


async def create_vm(factory: Factory, caller: Caller, wish: VmWish, *, request_key: str | None = None) -> VmView:
    """Ask for a machine and answer with it as soon as the read model shows it, or after two seconds.

    The same request key with the same input gives the same machine, `replayed`, also when its image is gone since or
    the build's name (`latest`) stands for another one.

    Raises:
        Verdict: everything that the plan does not allow (`vm.over_plan`, `vm.quota`), `vm.invalid`,
            `argument.conflict`, `build.not_found`, `build.no_image`, `image.not_found`, `image.not_ready`,
            `request_key.reused`.

    """
    require(caller, TOOL)
    plan = plan_of(caller.plan)
    vm_id = factory.new_id() if request_key is None else derived_id(caller.org_id, TOOL, request_key)
    then = None if request_key is None else await vm_state(factory, caller.org_id, vm_id)
    image = await _image(factory, caller, wish, then)
    spec = _spec(caller, plan, wish, image)
    request = VmRequest(
        vm_id=vm_id,
        org_id=caller.org_id,
        requested_by=caller.subject,
        plan=caller.plan,
        spec=spec,
        verification=image.verification,
    )
    if then is not None:
        _same_input(then.input_digest, request)
        return vm_view(then, now=factory.now(), replayed=True)
    if request_key is not None:
        await _refuse_other_input(factory, request)
    await _refuse_too_much(factory, caller, plan, spec)
    version = await factory.vms.create(VmInput(request=request))
    return await _created(factory, request, version)


async def _created(factory: Factory, request: VmRequest, version: int) -> VmView:
    """Answer for a machine that was just recorded; it stays accepted even if the read side is away now."""
    try:
        await factory.reads.wait_for(request.org_id, "vms", request.vm_id, version, VISIBLE_SECONDS)
        state = await vm_state(factory, request.org_id, request.vm_id)
    except Fault:
        state = None
    if state is None:
        return accepted(request.vm_id, name=request.spec.name)
    _same_input(state.input_digest, request)  # two requests with one key may have met
    return vm_view(state, now=factory.now())


async def _refuse_other_input(factory: Factory, request: VmRequest) -> None:
    """Refuse what is not what a machine of this id was asked for as, which nobody sees yet.

    One that was refused may be asked for again with the same input; one that is being recorded is met when it starts.
    """
    known = await factory.vms.vm_known(request.vm_id, request.org_id)
    if known is not None:
        _same_input(known, request)


async def _refuse_too_much(factory: Factory, caller: Caller, plan: Plan, spec: VmSpec) -> None:
    """Say at once everything that cannot be; the log's own count still guards the quota."""
    problems = check_spec(plan, spec)
    if not problems:
        async with factory.reads.org(caller.org_id) as reads:
            problems = check_quota(plan, await reads.vms.usage(), needs(spec))
        if spec.ttl is not None:
            problems += await minutes_left(factory, caller, minutes_of(spec.ttl))
    if problems:
        raise Verdict(*problems)


async def _image(factory: Factory, caller: Caller, wish: VmWish, then: VmState | None) -> _Image:
    """Find the image that is meant: that of the machine which was asked for by these words, if it is there already."""
    if (wish.build_id is None) == (wish.image_id is None):
        raise Verdict.because(
            "argument.conflict", "Give either build_id or image_id.", path="build_id", next="Name one of the two."
        )
    if then is not None and _is_of(then.spec.image, wish):
        return _Image(
            ref=then.spec.image, verification=then.verification, firmware=then.spec.firmware, name=then.spec.name
        )
    if wish.build_id is not None:
        return await _of_build(factory, caller, wish.build_id, wish.artifact or "qcow2")
    return await _of_upload(factory, caller, str(wish.image_id))


def _is_of(image: ImageRef, wish: VmWish) -> bool:
    """Whether an image can be the one that was wished for; a build's name can stand for any."""
    if wish.build_id is None:
        return (image.source, image.source_id) == ("image", wish.image_id)
    named = not is_build_id(wish.build_id) or wish.build_id == image.source_id
    return image.source == "build" and image.format == (wish.artifact or "qcow2") and named


async def _of_build(factory: Factory, caller: Caller, build_id: str, kind: Literal["qcow2", "iso"]) -> _Image:
    build_id = await build_id_of(factory, caller, build_id)
    async with factory.reads.org(caller.org_id) as reads:
        build = await reads.builds.get(build_id)
    if build is None:
        raise build_not_found(build_id)
    require_kept(build)
    target = of_build(build, "vm", kind)
    if target.image is None:
        raise Verdict.because(
            "build.no_image",
            f"The build is {build.status} and has no {kind} (yet).",
            path="build_id",
            suggestions=tuple(a.kind for a in build.artifacts if a.kind in {"qcow2", "iso"}),
            next="Follow it with get_build_status until it is completed.",
        )
    return _Image(
        ref=target.image,
        verification="verified" if target.verified else "unverified",
        firmware=_tested_firmware(build, kind),
        name=target.name,
    )


async def _of_upload(factory: Factory, caller: Caller, image_id: str) -> _Image:
    async with factory.reads.org(caller.org_id) as reads:
        image = await reads.images.get(image_id) if is_build_id(image_id) else None
    if image is None or image.status == "deleted":
        raise Verdict.because(
            "image.not_found",
            "There is no uploaded image with this id.",
            path="image_id",
            value=image_id[:64],
            next="Call list_images to see the images of your organization.",
        )
    if image.status != "ready":
        raise Verdict.because(
            "image.not_ready",
            f"The image is {image.status}; machines are made of ready ones.",
            path="image_id",
            next="Call get_image to see what is missing.",
        )
    ref = ImageRef(
        digest=image.sha256,
        bytes=image.bytes,
        format=image.format,
        source="image",
        source_id=image.image_id,
        name=image.name,
    )
    return _Image(ref=ref, verification="unverified", firmware=_usual_firmware(image.format), name=image.name)


def _tested_firmware(build: BuildState, kind: Literal["qcow2", "iso"]) -> Firmware:
    """Boot an image as it was booted when it was tested."""
    tested: list[Firmware] = [report.firmware for report in build.reports if report.artifact == kind]
    return tested[0] if tested else _usual_firmware(kind)


def _usual_firmware(kind: Literal["qcow2", "iso"]) -> Firmware:
    return "uefi" if kind == "qcow2" else "bios"


def _spec(caller: Caller, plan: Plan, wish: VmWish, image: _Image) -> VmSpec:
    if wish.persistent and wish.ttl_minutes is not None:
        message = "A machine either stays or has a time to live."
        raise Verdict.because("argument.conflict", message, path="ttl_minutes", next="Give one of the two.")
    usual = min(_USUAL_TTL, plan.longest_ttl)
    name = wish.name or _UNFIT.sub("-", image.name.lower())[:40].strip("-") or "vm"
    with problems_of("vm.invalid"):
        return VmSpec.model_validate(
            {
                "name": name,
                "image": image.ref,
                "memory": wish.memory,
                "cpus": wish.cpus,
                "disk": None if wish.disk_gb is None else wish.disk_gb * 1024,
                "firmware": wish.firmware or image.firmware,
                "ttl": None if wish.persistent else (wish.ttl_minutes * 60 if wish.ttl_minutes else usual),
                "idle_stop": None if wish.idle_stop_minutes is None else wish.idle_stop_minutes * 60,
                "egress": plan.egress if wish.egress is None else wish.egress,
                "networks": [
                    {"name": network, "scope": caller.org_id, "hostname": name[:32].strip("-")}
                    for network in dict.fromkeys(wish.networks)
                ],
                "forwards": [{"guest_port": port} for port in dict.fromkeys(wish.forwards)],
            }
        )


def _same_input(digest: str, request: VmRequest) -> None:
    if digest == request.input_digest:
        return
    raise Verdict.because(
        "request_key.reused",
        "This request_key was used before for another machine.",
        path="request_key",
        next=f"Use a new request_key for a new machine; the old one is vm_id {request.vm_id}.",
    )
