"""A machine's definition as libvirt's XML (https://libvirt.org/formatdomain.html). Pure: a spec in, text out."""

from typing import Literal
from uuid import UUID, uuid5
from xml.etree import ElementTree as ET

from domain.model import Value
from domain.verification import Firmware

Accelerator = Literal["kvm", "tcg"]

METADATA = "urn:openfactory:machine:1"
AGENT_CHANNEL = "org.qemu.guest_agent.0"
_NAMES = UUID("6f1d7a52-3c0e-5a8b-9d6e-0b54f1e7c2a9")


class MachineLabel(Value):
    """What a machine says about itself: whose it is, and when nobody can need it any more.

    `expires` is in seconds since the epoch.
    """

    job_id: str
    artifact: str
    expires: int


class Kernel(Value):
    """A kernel that is started directly. Paths as the daemon's namespace sees them."""

    image: str
    initrd: str
    arguments: str


class Pflash(Value):
    """UEFI firmware: its code, and this machine's own copy of the variables."""

    code: str
    variables: str


class MachineSpec(Value):
    """One machine. Every path is as the daemon's namespace sees it; memory is in MiB.

    `disk` is a qcow2 overlay with `backing` under it; `sockets` is the folder of `v` (VNC) and `s`
    (first serial port). Without `pflash` the machine has BIOS firmware.
    """

    name: str
    label: MachineLabel
    accelerator: Accelerator
    memory: int
    cpus: int
    sockets: str
    pflash: Pflash | None = None
    disk: str | None = None
    backing: str | None = None
    cdrom: str | None = None
    kernel: Kernel | None = None

    @property
    def firmware(self) -> Firmware:
        """The kind of firmware."""
        return "bios" if self.pflash is None else "uefi"


def machine_name(job_id: str, artifact: str) -> str:
    """Name the job's machine for `artifact`; the same job and artifact always give the same name.

    The name is short because the names of its sockets are (unix(7) allows 107 bytes). Two jobs may share
    one in theory, so whoever is about to replace a machine compares its label first.
    """
    short = "".join(c for c in job_id.lower() if c.isascii() and c.isalnum())[:10]
    return f"of-{short}-{artifact}"


def domain_xml(spec: MachineSpec) -> str:
    """Write the definition of `spec`."""
    root = ET.Element("domain", type="kvm" if spec.accelerator == "kvm" else "qemu")
    _text(root, "name", spec.name)
    _text(root, "uuid", str(uuid5(_NAMES, f"{spec.label.job_id}/{spec.label.artifact}")))
    _metadata(root, spec.label)
    _text(root, "memory", str(spec.memory), unit="MiB")
    _text(root, "vcpu", str(spec.cpus))
    _firmware(root, spec)
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    if spec.accelerator == "kvm":
        ET.SubElement(root, "cpu", mode="host-passthrough", check="none")
    else:
        ET.SubElement(root, "cpu", mode="maximum")
    ET.SubElement(root, "clock", offset="utc")
    _text(root, "on_poweroff", "destroy")
    _text(root, "on_reboot", "restart")
    # A guest that panicked stays, stopped: its screen is evidence, and it differs from a QEMU that was killed.
    _text(root, "on_crash", "preserve")
    _devices(root, spec)
    return ET.tostring(root, encoding="unicode")


def read_label(xml: str) -> MachineLabel | None:
    """Read the label of a machine from its definition; nothing if it is none of ours."""
    element = ET.fromstring(xml).find(f"metadata/{{{METADATA}}}machine")  # noqa: S314 - libvirt wrote it
    if element is None:
        return None
    return MachineLabel(
        job_id=element.get("job", ""), artifact=element.get("artifact", ""), expires=int(element.get("expires", "0"))
    )


def agent_connected(xml: str) -> bool:
    """Tell from a running machine's definition whether its guest agent holds the channel open."""
    target = ET.fromstring(xml).find(f"devices/channel/target[@name='{AGENT_CHANNEL}']")  # noqa: S314 - libvirt wrote it
    return target is not None and target.get("state") == "connected"


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text


def _metadata(root: ET.Element, label: MachineLabel) -> None:
    metadata = ET.SubElement(root, "metadata")
    attributes = {"job": label.job_id, "artifact": label.artifact, "expires": str(label.expires)}
    ET.SubElement(metadata, f"{{{METADATA}}}machine", attributes)


def _firmware(root: ET.Element, spec: MachineSpec) -> None:
    os = ET.SubElement(root, "os")
    _text(os, "type", "hvm", arch="x86_64", machine="q35")
    if spec.pflash is not None:
        _text(os, "loader", spec.pflash.code, readonly="yes", type="pflash")
        _text(os, "nvram", spec.pflash.variables)
    else:
        # SeaBIOS then speaks on the serial port too, where "No bootable device" can be read.
        ET.SubElement(os, "bios", useserial="yes")
    if spec.kernel is not None:
        _text(os, "kernel", spec.kernel.image)
        _text(os, "initrd", spec.kernel.initrd)
        _text(os, "cmdline", spec.kernel.arguments)
    else:
        ET.SubElement(os, "boot", dev="cdrom" if spec.cdrom else "hd")


def _devices(root: ET.Element, spec: MachineSpec) -> None:
    devices = ET.SubElement(root, "devices")
    if spec.disk is not None:
        _disk(devices, spec.disk, spec.backing)
    if spec.cdrom is not None:
        _cdrom(devices, spec.cdrom)
    ET.SubElement(devices, "controller", type="usb", model="none")
    interface = ET.SubElement(devices, "interface", type="user")
    ET.SubElement(interface, "model", type="virtio")
    ET.SubElement(interface, "rom", enabled="no")  # nobody boots from the network
    serial = ET.SubElement(devices, "serial", type="unix")
    ET.SubElement(serial, "source", mode="bind", path=f"{spec.sockets}/s")
    ET.SubElement(serial, "target", port="0")
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name=AGENT_CHANNEL)
    graphics = ET.SubElement(devices, "graphics", type="vnc")
    ET.SubElement(graphics, "listen", type="socket", socket=f"{spec.sockets}/v")
    video = ET.SubElement(devices, "video")
    ET.SubElement(video, "model", type="vga", vram="16384", heads="1")
    ET.SubElement(devices, "memballoon", model="none")
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    ET.SubElement(devices, "panic", model="isa")


def _disk(devices: ET.Element, path: str, backing: str | None) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    # The disk lives no longer than the machine: nobody needs its writes to reach the host's disk in order.
    ET.SubElement(disk, "driver", name="qemu", type="qcow2", cache="unsafe", discard="unmap", error_policy="stop")
    ET.SubElement(disk, "source", file=path)
    if backing is not None:
        store = ET.SubElement(disk, "backingStore", type="file")
        ET.SubElement(store, "format", type="qcow2")
        ET.SubElement(store, "source", file=backing)
        ET.SubElement(store, "backingStore")
    ET.SubElement(disk, "target", dev="vda", bus="virtio")


def _cdrom(devices: ET.Element, path: str) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device="cdrom")
    ET.SubElement(disk, "driver", name="qemu", type="raw")
    ET.SubElement(disk, "source", file=path)
    ET.SubElement(disk, "target", dev="sda", bus="sata")
    ET.SubElement(disk, "readonly")
