"""Ports of a stack that starts, against the kernel's rules for sockets."""

import socket
from pathlib import Path

import pytest

from cli.stack.ports import hold, is_free, is_unused, keep_ports

pytestmark = pytest.mark.integration


def test_a_port_that_is_held_is_chosen_by_nobody_and_its_server_may_listen(tmp_path: Path) -> None:
    ports = keep_ports(tmp_path / "ports.json")
    port = ports["s3"]
    with hold(ports.values()):
        assert not is_unused(port)
        assert is_free(port)
        with socket.create_server(("127.0.0.1", port)):
            assert not is_free(port)
    assert is_unused(port)
