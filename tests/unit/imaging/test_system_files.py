"""The files that make an image a recipe's own."""

import json

from activities.imaging.layers import configured
from activities.imaging.stages.install import InstallReport
from activities.imaging.stages.services import unit_of
from activities.imaging.stages.system_files import (
    network_files,
    ssh_files,
    startup_files,
    startup_unit,
    sudo_file,
    system_files,
)
from domain.recipe.schema import Recipe, SshConfig, StartupScript
from infra.process import CommandError
from tests.unit.imaging.locked import Notes


def _recipe(**changes: object) -> Recipe:
    return Recipe.model_validate({"name": "shop", "baseImage": "debian-bookworm"} | changes)


def test_the_machine_is_named_after_the_recipe() -> None:
    files = system_files(_recipe(), "")
    assert files["/etc/hostname"].text == "shop\n"
    assert "127.0.1.1\tshop\n" in files["/etc/hosts"].text


def test_the_recipe_in_the_image_is_for_root_alone_because_it_holds_password_hashes() -> None:
    file = system_files(_recipe(), "")["/etc/openfactory/recipe.json"]
    assert file.mode == 0o600
    assert json.loads(file.text)["name"] == "shop"


def test_a_changed_test_changes_nothing_in_the_image() -> None:
    claim = {"type": "port_listening", "params": {"port": 22}}
    tested = _recipe(tests=[{"description": "SSH", "assertions": [claim]}])
    assert configured(tested) == configured(_recipe())


def test_every_wired_interface_asks_for_an_address() -> None:
    (wired,) = [file.text for name, file in network_files().items() if name.endswith(".network")]
    assert "Name=en* eth*" in wired
    assert "DHCP=yes" in wired


def test_ssh_settings_are_written_in_sshds_words() -> None:
    config = SshConfig(port=2222, allow_root=False, disable_password_auth=True, max_auth_tries=3)
    text = ssh_files(config)["/etc/ssh/sshd_config.d/10-openfactory.conf"].text
    assert "Port 2222\n" in text
    assert "PermitRootLogin no\n" in text
    assert "PasswordAuthentication no\n" in text
    assert "KbdInteractiveAuthentication no\n" in text
    assert "MaxAuthTries 3\n" in text


def test_host_keys_are_made_before_the_server_starts() -> None:
    (unit,) = [file.text for name, file in ssh_files(SshConfig()).items() if name.endswith(".service")]
    assert "ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key" in unit
    assert "Before=ssh.service" in unit


def test_startup_scripts_run_in_order_and_a_failed_one_stops_the_rest() -> None:
    scripts = (StartupScript(name="first", script="echo 1"), StartupScript(name="second", script="#!/bin/bash\ntrue"))
    files = startup_files(scripts)
    second = files[f"/etc/systemd/system/{startup_unit('second')}"].text
    assert f"Requires={startup_unit('first')}\n" in second
    assert f"After=network-online.target local-fs.target {startup_unit('first')}\n" in second
    assert "StandardOutput=journal+console" in second


def test_a_startup_script_without_an_interpreter_is_run_by_sh() -> None:
    files = startup_files((StartupScript(name="first", script="echo 1"),))
    assert files["/usr/lib/openfactory/startup/first"].text == "#!/bin/sh\necho 1\n"
    assert files["/usr/lib/openfactory/startup/first"].mode == 0o755


def test_sudo_without_a_password_is_written_as_sudo_wants_it() -> None:
    assert [file.mode for file in sudo_file("deploy").values()] == [0o440]


def test_a_units_suffix_may_be_left_out() -> None:
    assert unit_of("nginx") == "nginx.service"
    assert unit_of("fstrim.timer") == "fstrim.timer"


def test_the_package_that_failed_first_is_named() -> None:
    notes = Notes()
    report = InstallReport(notes, 2, (10.0, 70.0))
    for line in (
        "Unpacking libx:amd64 (1.0) ...",
        "Unpacking app (2.0) ...",
        "Setting up libx:amd64 (1.0) ...",
        "dpkg: error processing package libx:amd64 (--configure):",
        " installed libx package post-installation script subprocess returned error exit status 1",
        "dpkg: error processing package app (--configure):",
        " dependency problems - leaving unconfigured",
    ):
        report(line)
    verdict = report.verdict(CommandError(["apt-get"], "command.failed", "apt-get ended", (), 100))
    assert verdict.code == "package.install_failed"
    assert verdict.problems[0].value == "libx"
    assert "post-installation script" in verdict.problems[0].message
    assert notes.percents == sorted(notes.percents)
