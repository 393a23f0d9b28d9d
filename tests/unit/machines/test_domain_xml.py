"""The definition that libvirt is given."""

from xml.etree import ElementTree as ET

from activities.machines.domain_xml import MachineSpec, Nic, Pflash, agent_connected, domain_xml, machine_name
from activities.machines.labels import MachineLabel, VmLabel, read_label, read_vm_label

LABEL = MachineLabel(job_id='5e1f0000-"&<>-1', artifact="qcow2", expires=1700000000)
DISK = MachineSpec(
    name="of-5e1f000011-qcow2",
    label=LABEL,
    accelerator="tcg",
    memory=1024,
    cpus=2,
    sockets="/run/libvirt/m/of-5e1f000011-qcow2",
    pflash=Pflash(code="/ovmf/code.fd", variables="/machine/variables.fd"),
    disk="/machine/disk.qcow2",
    backing="/var/lib/libvirt/images/ab/abc",
)
CDROM = MachineSpec(
    name="of-5e1f000011-iso",
    label=LABEL,
    accelerator="kvm",
    memory=512,
    cpus=1,
    sockets="/run/libvirt/m/of-5e1f000011-iso",
    cdrom="/var/lib/libvirt/images/cd/cde",
)


def tree(spec: MachineSpec) -> ET.Element:
    return ET.fromstring(domain_xml(spec))  # noqa: S314 - we wrote it


def attribute(root: ET.Element, path: str, name: str) -> str | None:
    element = root.find(path)
    return None if element is None else element.get(name)


def test_a_label_survives_whatever_characters_it_has() -> None:
    assert read_label(domain_xml(DISK)) == LABEL


def test_a_machine_of_somebody_else_has_no_label() -> None:
    assert read_label("<domain><name>of-x</name></domain>") is None


def test_a_vms_label_is_read_back_and_is_not_taken_for_a_jobs() -> None:
    label = VmLabel(vm_id="0b1c", org_id="o", token=7)
    xml = domain_xml(DISK.model_copy(update={"label": label}))
    assert read_vm_label(xml) == label
    assert read_label(xml) is None
    assert read_vm_label(domain_xml(DISK)) is None


def test_a_jobs_disk_is_fast_and_a_lasting_one_is_safe() -> None:
    assert attribute(tree(DISK), "devices/disk/driver", "cache") == "unsafe"
    lasting = tree(DISK.model_copy(update={"lasting": True}))
    assert attribute(lasting, "devices/disk/driver", "cache") is None
    assert attribute(lasting, "devices/input", "type") == "tablet"


def test_cards_are_on_bridges_or_on_the_user_network() -> None:
    nics = (Nic(mac="52:54:00:00:00:01"), Nic(bridge="of-suite", mac="52:54:00:00:00:02"))
    root = tree(DISK.model_copy(update={"nics": nics}))
    assert [card.get("type") for card in root.iterfind("devices/interface")] == ["user", "bridge"]
    assert attribute(root, "devices/interface/source", "bridge") == "of-suite"


def test_an_installer_boots_before_the_empty_disk_beside_it() -> None:
    root = tree(CDROM.model_copy(update={"disk": "/machine/disk.qcow2"}))
    assert [e.get("dev") for e in root.iterfind("os/boot")] == ["cdrom", "hd"]
    assert root.find("devices/disk/backingStore/*") is None


def test_a_disk_boots_under_uefi_with_its_own_variables_over_the_stores_blob() -> None:
    root = tree(DISK)
    assert root.get("type") == "qemu"
    assert root.findtext("os/loader") == "/ovmf/code.fd"
    assert root.findtext("os/nvram") == "/machine/variables.fd"
    assert attribute(root, "devices/disk/source", "file") == "/machine/disk.qcow2"
    assert attribute(root, "devices/disk/backingStore/source", "file") == "/var/lib/libvirt/images/ab/abc"
    assert root.find("devices/disk/backingStore/backingStore") is not None
    assert attribute(root, "cpu", "mode") == "maximum"


def test_an_iso_boots_under_bios_from_a_read_only_drive() -> None:
    root = tree(CDROM)
    assert root.get("type") == "kvm"
    assert root.find("os/loader") is None
    assert attribute(root, "os/boot", "dev") == "cdrom"
    assert root.find("devices/disk/readonly") is not None
    assert attribute(root, "cpu", "mode") == "host-passthrough"


def test_every_machine_can_be_seen_heard_and_asked_but_listens_on_no_network_port() -> None:
    for spec in (DISK, CDROM):
        root = tree(spec)
        assert attribute(root, "devices/channel/target", "name") == "org.qemu.guest_agent.0"
        assert attribute(root, "devices/serial/source", "path") == f"{spec.sockets}/s"
        graphics = root.find("devices/graphics")
        assert graphics is not None
        assert graphics.get("port") is None
        assert attribute(graphics, "listen", "type") == "socket"
        assert attribute(root, "devices/interface", "type") == "user"
        assert root.findtext("on_crash") == "preserve"
        assert root.find("devices/panic") is not None


def test_the_same_machine_has_the_same_name_and_uuid_each_time_and_others_have_others() -> None:
    assert tree(DISK).findtext("uuid") == tree(DISK.model_copy(update={"memory": 2048})).findtext("uuid")
    other = DISK.model_copy(update={"label": LABEL.model_copy(update={"artifact": "iso"})})
    assert tree(DISK).findtext("uuid") != tree(other).findtext("uuid")
    assert machine_name("5E1F0000-1111-4000-8000-000000000000", "iso") == "of-5e1f000011-iso"
    assert machine_name("../../etc", "iso") == "of-etc-iso"


def test_the_longest_socket_fits_into_a_socket_address() -> None:
    longest_home = "/" + "h" * 69
    name = machine_name("f" * 36, "qcow2")
    assert len(f"{longest_home}/libvirt/run/m/{name}/v") <= 107


def test_an_open_agent_channel_is_seen_in_a_running_definition() -> None:
    channel = '<channel><target type="virtio" name="org.qemu.guest_agent.0" state="{}"/></channel>'
    assert agent_connected(f"<domain><devices>{channel.format('connected')}</devices></domain>")
    assert not agent_connected(f"<domain><devices>{channel.format('disconnected')}</devices></domain>")
    assert not agent_connected(domain_xml(DISK))
