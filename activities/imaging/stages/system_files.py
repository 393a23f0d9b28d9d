"""The files that make an image this recipe's: name, network, SSH, first boot. Text only, no I/O.

Networking is systemd-networkd with DHCP on every wired interface. The nameservers of the lease reach
/etc/resolv.conf through systemd-resolved's stub, which libc and everything else reads; an image that
brings NetworkManager is left to it.
"""

from collections.abc import Mapping

from domain.canonical import canonical_json
from domain.model import Value
from domain.recipe.schema import Recipe, SshConfig, StartupScript

STARTUP = "/usr/lib/openfactory/startup"
HOST_KEYS_UNIT = "openfactory-ssh-host-keys.service"
NETWORK_FILE = "/etc/systemd/network/80-openfactory-wired.network"
WAIT_ONLINE_FILE = "/etc/systemd/system/systemd-networkd-wait-online.service.d/10-openfactory.conf"
_STARTUP_SECONDS = 900

_HOSTS = """\
127.0.0.1\tlocalhost
127.0.1.1\t{name}

::1\tlocalhost ip6-localhost ip6-loopback
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
# Clones share no machine id, but may ask before they have one: their MAC address tells them apart.
_WIRED = """\
[Match]
Name=en* eth*

[Network]
DHCP=yes

[DHCPv4]
ClientIdentifier=mac
"""
# One interface is enough, and a machine without a network still has to come up.
_WAIT_ONLINE = """\
[Service]
ExecStart=
ExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=30
"""
_HOST_KEYS = """\
[Unit]
Description=SSH host keys of this machine
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service ssh.socket
After=local-fs.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target ssh.service ssh.socket
"""
# ExecStartPost runs only after success, so a script that failed runs again at the next boot.
_STARTUP_UNIT = """\
[Unit]
Description=Startup script {name}
ConditionPathExists=!/var/lib/openfactory/startup/{name}.done
Wants=network-online.target
After=network-online.target local-fs.target{after}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={folder}/{name}
ExecStartPost=/bin/mkdir -p /var/lib/openfactory/startup
ExecStartPost=/bin/touch /var/lib/openfactory/startup/{name}.done
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec={seconds}

[Install]
WantedBy=multi-user.target
"""


class SystemFile(Value):
    """A file of the image, owned by root."""

    text: str
    mode: int = 0o644


def system_files(recipe: Recipe, apt_sources: str) -> dict[str, SystemFile]:
    """Name the files that every image gets, by absolute path."""
    return {
        "/etc/hostname": SystemFile(text=f"{recipe.name}\n"),
        "/etc/hosts": SystemFile(text=_HOSTS.format(name=recipe.name)),
        "/etc/apt/sources.list.d/debian.sources": SystemFile(text=apt_sources),
        # Password hashes are in it: for root alone.
        "/etc/openfactory/recipe.json": SystemFile(text=_canonical(recipe), mode=0o600),
    }


def network_files() -> dict[str, SystemFile]:
    """Name the files of a network that systemd-networkd manages."""
    return {NETWORK_FILE: SystemFile(text=_WIRED), WAIT_ONLINE_FILE: SystemFile(text=_WAIT_ONLINE)}


def ssh_files(config: SshConfig) -> dict[str, SystemFile]:
    """Name the files of the SSH server; the first value of a setting wins in sshd_config(5)."""
    settings: Mapping[str, str | int] = {
        "Port": config.port,
        "PermitRootLogin": _yes(config.allow_root),
        "PasswordAuthentication": _yes(not config.disable_password_auth),
        "KbdInteractiveAuthentication": _yes(not config.disable_password_auth),
        "PermitEmptyPasswords": _yes(config.permit_empty_passwords),
        "LoginGraceTime": config.timeout,
        "ClientAliveInterval": config.client_alive_interval,
        "MaxAuthTries": config.max_auth_tries,
    }
    text = "".join(f"{key} {value}\n" for key, value in settings.items())
    return {
        "/etc/ssh/sshd_config.d/10-openfactory.conf": SystemFile(text=text),
        f"/etc/systemd/system/{HOST_KEYS_UNIT}": SystemFile(text=_HOST_KEYS),
    }


def startup_unit(name: str) -> str:
    """Name the unit that runs the startup script `name`."""
    return f"openfactory-startup-{name}.service"


def startup_files(scripts: tuple[StartupScript, ...]) -> dict[str, SystemFile]:
    """Name the startup scripts and their units: each waits for the one before it and needs its success."""
    files: dict[str, SystemFile] = {}
    after = ""
    for script in scripts:
        text = script.script if script.script.startswith("#!") else f"#!/bin/sh\n{script.script}"
        files[f"{STARTUP}/{script.name}"] = SystemFile(text=text if text.endswith("\n") else f"{text}\n", mode=0o755)
        unit = startup_unit(script.name)
        files[f"/etc/systemd/system/{unit}"] = SystemFile(
            text=_STARTUP_UNIT.format(name=script.name, folder=STARTUP, after=after, seconds=_STARTUP_SECONDS)
        )
        after = f" {unit}\nRequires={unit}"
    return files


def sudo_file(username: str) -> dict[str, SystemFile]:
    """Let an account that has no password use sudo without one (sudoers(5))."""
    text = f"{username} ALL=(ALL:ALL) NOPASSWD: ALL\n"
    return {f"/etc/sudoers.d/openfactory-{username}": SystemFile(text=text, mode=0o440)}


def _canonical(recipe: Recipe) -> str:
    return canonical_json(recipe).decode() + "\n"


def _yes(flag: bool) -> str:  # noqa: FBT001 - a word for a value
    return "yes" if flag else "no"
