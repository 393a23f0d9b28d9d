import json
from pathlib import Path

import pytest

from cli.stack.ports import NAMES, keep_ports
from domain.errors import Fault


def everything(_port: int) -> bool:
    return True


def test_ports_are_chosen_once_and_kept(tmp_path: Path) -> None:
    first = keep_ports(tmp_path / "ports.json", free=everything, unused=everything)
    assert set(first) == set(NAMES)
    assert len(set(first.values())) == len(NAMES)
    assert keep_ports(tmp_path / "ports.json", free=everything, unused=everything) == first


def test_only_a_port_that_is_taken_is_chosen_again(tmp_path: Path) -> None:
    before = keep_ports(tmp_path / "ports.json", free=everything, unused=everything)
    after = keep_ports(tmp_path / "ports.json", free=lambda port: port != before["s3"], unused=everything)
    assert after["s3"] != before["s3"]
    assert {n: p for n, p in after.items() if n != "s3"} == {n: p for n, p in before.items() if n != "s3"}


@pytest.mark.parametrize("content", ["", "[]", '{"s3": "x"}', '{"s3": 70000}'])
def test_a_broken_file_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ports.json"
    path.write_text(content)
    ports = keep_ports(path, free=lambda port: port < 65536, unused=everything)
    assert json.loads(path.read_text()) == ports


def test_two_names_never_share_a_port_that_a_file_gave_them_both(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text(json.dumps(dict.fromkeys(NAMES, 20000)))
    assert len(set(keep_ports(path, free=everything, unused=everything).values())) == len(NAMES)


def test_a_machine_without_a_free_port_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"stack\.no_port"):
        keep_ports(tmp_path / "ports.json", unused=lambda _: False)
