"""A link opens one object under one name for a while; any other token is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Verdict
from infra.signed_links import BuildOf, LinkGrant, LinkSigner

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SIGNER = LinkSigner(b"k" * 32)
TOKEN = SIGNER.sign(key="blobs/abc", name="disk.qcow2", expires_at=NOW + timedelta(hours=1))


def refusal(token: str, *, name: str = "disk.qcow2", now: datetime = NOW, signer: LinkSigner = SIGNER) -> str:
    with pytest.raises(Verdict) as refused:
        signer.verify(token, name=name, now=now)
    return refused.value.code


def test_a_signed_link_opens_its_object_until_it_expires() -> None:
    assert SIGNER.verify(TOKEN, name="disk.qcow2", now=NOW) == LinkGrant(key="blobs/abc")
    assert refusal(TOKEN, now=NOW + timedelta(hours=1)) == "link.expired"


def test_a_link_tells_which_build_it_was_made_for() -> None:
    build = BuildOf(org_id="org", build_id="b")
    token = SIGNER.sign(key="blobs/abc", name="x", expires_at=NOW + timedelta(hours=1), build=build)
    assert SIGNER.verify(token, name="x", now=NOW) == LinkGrant(key="blobs/abc", build=build)


def test_a_link_is_bound_to_its_name_and_to_the_key_that_signed_it() -> None:
    assert refusal(TOKEN, name="other.qcow2") == "link.invalid"
    assert refusal(TOKEN, signer=LinkSigner(b"x" * 32)) == "link.invalid"


def test_a_token_fits_into_a_url_as_it_is() -> None:
    assert set(TOKEN) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TOKEN) - 2))
    other = data.draw(st.sampled_from("ABCDEFGHijklmnop0123-_").filter(lambda c: c != TOKEN[at]))
    assert refusal(TOKEN[:at] + other + TOKEN[at + 1 :]) == "link.invalid"


@given(st.text())
def test_no_other_text_is_a_token(text: str) -> None:
    assert refusal(text) == "link.invalid"
