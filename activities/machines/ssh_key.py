"""The SSH key of one VM, and how a guest without an agent is told about it at its start.

The private half lies in the VM's folder on the host and goes with it. The public half is handed over as a
systemd credential in an SMBIOS string (systemd-stub and PID 1, systemd.system-credentials(7)): it is written
by the guest's own systemd-tmpfiles, from systemd 252 on, so in Debian 12 and 13. The image holds nothing of it.
Root's key goes by `ssh.authorized_keys.root`. Another account's goes by `tmpfiles.extra` into authorized_keys2,
which sshd(8) reads beside authorized_keys, so that the account's own keys stay as they are.
"""

from base64 import b64encode
from pathlib import Path

from domain.recipe.ssh_access import SshAccess
from infra.process import run

_SECONDS = 30.0
_CREDENTIAL = "io.systemd.credential.binary"


def key_file(folder: Path) -> Path:
    """Where the private key of the VM with this folder lies."""
    return folder / "ssh" / "key"


async def make_key(folder: Path) -> None:
    """Make the VM's key unless it is there; a repeat goes on where it was.

    Raises:
        CommandError: ssh-keygen(1) failed.

    """
    key = key_file(folder)
    if key.exists():
        return
    key.parent.mkdir(mode=0o700, exist_ok=True)
    part = key.with_name("new")
    for left in (part, part.with_suffix(".pub")):
        left.unlink(missing_ok=True)
    await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "openfactory", "-f", str(part)], timeout=_SECONDS)
    part.with_suffix(".pub").rename(key.with_suffix(".pub"))
    part.rename(key)


def oem_strings(folder: Path, access: SshAccess | None) -> tuple[str, ...]:
    """Say the SMBIOS strings that tell the guest of its key; none for one that is not entered by SSH."""
    if access is None:
        return ()
    public = key_file(folder).with_suffix(".pub").read_text(encoding="ascii").strip()
    if access.user == "root":
        return (_credential("ssh.authorized_keys.root", public),)
    folder_line = f"d {access.home}/.ssh :0700 :{access.user} :{access.user} -"
    file_line = f"f+ {access.home}/.ssh/authorized_keys2 0600 {access.user} {access.user} - {public}"
    return (_credential("tmpfiles.extra", f"{folder_line}\n{file_line}\n"),)


def _credential(name: str, text: str) -> str:
    return f"{_CREDENTIAL}:{name}={b64encode(text.encode()).decode()}"
