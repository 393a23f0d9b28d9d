"""A machine's definition as libvirt's XML (https://libvirt.org/formatdomain.html). Pure: a spec in, text out."""

from typing import Literal
from uuid import UUID, uuid5
from xml.etree import ElementTree as ET

from activities.machines.labels import MachineLabel, VmLabel
from domain.model import Value
from domain.verification import Firmware

Accelerator = Literal["kvm", "tcg"]

AGENT_CHANNEL = "org.qemu.guest_agent.0"
# Devices sit on the root bus itself. libvirt would give each a port of its own, into which nothing is ever plugged:
# firmware and kernel look at every one of them, which takes an emulated machine one second in twenty of its boot.
_SLOTS = {"usb": 2, "agent": 3, "disk": 4, "rng": 5}
_FIRST_NIC_SLOT = 8
_NAMES = UUID("6f1d7a52-3c0e-5a8b-9d6e-0b54f1e7c2a9")


class Kernel(Value):
    """A kernel that is started directly. Paths as the daemon's namespace sees them."""

    image: str
    initrd: str
    arguments: str


class Pflash(Value):
    """UEFI firmware: its code, and this machine's own copy of the variables."""

    code: str
    variables: str


class Nic(Value):
    """A network card: on a bridge of the daemon's namespace, else on QEMU's own user network, which leads nowhere."""

    bridge: str | None = None
    mac: str | None = None


class MachineSpec(Value):
    """One machine. Every path is as the daemon's namespace sees it; memory is in MiB.

    `disk` is a qcow2, an overlay if there is `backing` under it; `sockets` is the folder of `v` (VNC) and `s`
    (first serial port). Without `pflash` the machine has BIOS firmware. The disk of a `lasting` machine
    survives the host's crash, and its pointer is a tablet, so that a viewer's mouse is where the guest's is.
    `strings` are told to the guest by its firmware (SMBIOS, type 11: DMTF DSP0134).
    """

    name: str
    label: MachineLabel | VmLabel
    accelerator: Accelerator
    memory: int
    cpus: int
    sockets: str
    pflash: Pflash | None = None
    disk: str | None = None
    backing: str | None = None
    cdrom: str | None = None
    kernel: Kernel | None = None
    nics: tuple[Nic, ...] = (Nic(),)
    strings: tuple[str, ...] = ()
    lasting: bool = False

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
    _text(root, "uuid", str(uuid5(_NAMES, spec.label.key)))
    ET.SubElement(root, "metadata").append(spec.label.element())
    _text(root, "memory", str(spec.memory), unit="MiB")
    _text(root, "vcpu", str(spec.cpus))
    _firmware(root, spec)
    _strings(root, spec.strings)
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


def agent_connected(xml: str) -> bool:
    """Tell from a running machine's definition whether its guest agent holds the channel open."""
    target = ET.fromstring(xml).find(f"devices/channel/target[@name='{AGENT_CHANNEL}']")  # noqa: S314 - libvirt wrote it
    return target is not None and target.get("state") == "connected"


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text


def _firmware(root: ET.Element, spec: MachineSpec) -> None:
    os = ET.SubElement(root, "os")
    _text(os, "type", "hvm", arch="x86_64", machine="q35")
    if spec.strings:
        ET.SubElement(os, "smbios", mode="sysinfo")
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
        for device in ("cdrom",) * bool(spec.cdrom) + ("hd",) * bool(spec.disk or not spec.cdrom):
            ET.SubElement(os, "boot", dev=device)


def _strings(root: ET.Element, strings: tuple[str, ...]) -> None:
    if not strings:
        return
    info = ET.SubElement(root, "sysinfo", type="smbios")
    entries = ET.SubElement(info, "oemStrings")
    for string in strings:
        _text(entries, "entry", string)


def _devices(root: ET.Element, spec: MachineSpec) -> None:
    devices = ET.SubElement(root, "devices")
    if spec.disk is not None:
        _disk(devices, spec)
    if spec.cdrom is not None:
        _cdrom(devices, spec.cdrom)
    if spec.lasting:
        _at(ET.SubElement(devices, "controller", type="usb", model="qemu-xhci"), _SLOTS["usb"])
        ET.SubElement(devices, "input", type="tablet", bus="usb")
    else:
        ET.SubElement(devices, "controller", type="usb", model="none")
    for number, nic in enumerate(spec.nics):
        _interface(devices, nic, _FIRST_NIC_SLOT + number)
    serial = ET.SubElement(devices, "serial", type="unix")
    ET.SubElement(serial, "source", mode="bind", path=f"{spec.sockets}/s")
    ET.SubElement(serial, "target", port="0")
    _at(ET.SubElement(devices, "controller", type="virtio-serial", index="0"), _SLOTS["agent"])
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name=AGENT_CHANNEL)
    graphics = ET.SubElement(devices, "graphics", type="vnc")
    ET.SubElement(graphics, "listen", type="socket", socket=f"{spec.sockets}/v")
    video = ET.SubElement(devices, "video")
    ET.SubElement(video, "model", type="vga", vram="16384", heads="1")
    ET.SubElement(devices, "memballoon", model="none")
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    _at(rng, _SLOTS["rng"])
    ET.SubElement(devices, "panic", model="isa")


def _at(device: ET.Element, slot: int) -> None:
    ET.SubElement(device, "address", type="pci", bus="0x00", slot=f"0x{slot:02x}")


def _interface(devices: ET.Element, nic: Nic, slot: int) -> None:
    interface = ET.SubElement(devices, "interface", type="bridge" if nic.bridge else "user")
    if nic.bridge:
        ET.SubElement(interface, "source", bridge=nic.bridge)
    if nic.mac:
        ET.SubElement(interface, "mac", address=nic.mac)
    ET.SubElement(interface, "model", type="virtio")
    ET.SubElement(interface, "rom", enabled="no")  # nobody boots from the network
    _at(interface, slot)


def _disk(devices: ET.Element, spec: MachineSpec) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    driver = ET.SubElement(disk, "driver", name="qemu", type="qcow2", discard="unmap", error_policy="stop")
    if not spec.lasting:
        # The disk lives no longer than the machine: nobody needs its writes to reach the host's disk in order.
        driver.set("cache", "unsafe")
    ET.SubElement(disk, "source", file=spec.disk or "")
    if spec.backing is not None:
        store = ET.SubElement(disk, "backingStore", type="file")
        ET.SubElement(store, "format", type="qcow2")
        ET.SubElement(store, "source", file=spec.backing)
        ET.SubElement(store, "backingStore")
    else:
        ET.SubElement(disk, "backingStore")
    ET.SubElement(disk, "target", dev="vda", bus="virtio")
    _at(disk, _SLOTS["disk"])


def _cdrom(devices: ET.Element, path: str) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device="cdrom")
    ET.SubElement(disk, "driver", name="qemu", type="raw")
    ET.SubElement(disk, "source", file=path)
    ET.SubElement(disk, "target", dev="sda", bus="sata")
    ET.SubElement(disk, "readonly")
