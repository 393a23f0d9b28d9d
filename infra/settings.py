"""Configuration, read once from the environment into a frozen value and passed on from there."""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from domain.errors import Verdict
from domain.model import Value
from infra.host_names import host_named, host_of_url

DEFAULT_PORT = 7300
_SHORTEST_SECRET = 32
_MOST_BUILDS = 64
_LONGEST_HOME = 70  # sun_path holds 107 bytes (unix(7)); the longest socket below the home needs 37


class S3Settings(Value):
    """An S3 endpoint, `http://host:port` or `https://host`."""

    endpoint: str
    access_key: str
    secret_key: SecretStr
    bucket: str = "openfactory"
    region: str = "us-east-1"


class TemporalSettings(Value):
    """A Temporal frontend. `api_key` is for Temporal Cloud and turns TLS on."""

    address: str
    namespace: str = "default"
    api_key: SecretStr | None = None


class DiskSettings(Value):
    """How much of a host's disk the factory takes, in bytes; what is None follows from the disk's size.

    Below `watermark_bytes` free no new build is started; `store_bytes` is the budget of layers, images and package
    files that can be had again.
    """

    watermark_bytes: int | None = None
    store_bytes: int | None = None


class Settings(Value):
    """All that can be configured.

    `allowed_hosts` are further names by which browsers and clients may call the factory. `egress_allow` are
    private networks (CIDR) that guests may reach, which otherwise see public addresses only. `trusted_proxies` are
    who may say for whom they ask (X-Forwarded-For).
    What is `None` is embedded: `openfactory up` starts it, and tells its other parts where it is by
    setting the same variable for them. A host worker is never given the database's addresses.
    `relay_bind` is where a host's console relay listens (`address:port`, port 0 is any free one), `relay_url` how
    the gateway reaches it, if that is another address; `relay_secret` is what gateway and remote hosts share.
    `guests` lets people without a key in, metered.
    `builds` run on this host at a time; without it, as many as its processors and memory bear.
    """

    home: Path
    bind: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=1, le=65535)
    public_url: str
    host_id: str
    temporal: TemporalSettings | None = None
    database_url: SecretStr | None = None
    front_database_url: SecretStr | None = None
    admission_database_url: SecretStr | None = None
    s3: S3Settings | None = None
    libvirt_uri: str | None = None
    mcp_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    relay_bind: str = "127.0.0.1:0"
    relay_url: str | None = None
    relay_secret: SecretStr | None = None
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    builds: int | None = Field(default=None, ge=1, le=_MOST_BUILDS)
    mirror: str | None = None
    security_mirror: str | None = None
    image_mirror: str | None = None
    egress_allow: tuple[str, ...] = ()
    guests: bool = False
    disk: DiskSettings = DiskSettings()

    @property
    def secrets(self) -> Path:
        """The folder of keys, readable by its owner alone."""
        return self.home / "secrets"

    @property
    def run(self) -> Path:
        """The folder of sockets, locks and process ids."""
        return self.home / "run"

    @property
    def operator_key(self) -> Path:
        """The file that holds the local operator's API key."""
        return self.secrets / "operator.key"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        Verdict: `settings.invalid`, naming every variable that cannot be used.

    """
    env = os.environ if environ is None else environ
    home = Path(env.get("OPENFACTORY_HOME") or _default_home()).expanduser().absolute()
    if len(os.fsencode(home)) > _LONGEST_HOME:
        raise Verdict.because(
            "settings.invalid",
            f"OPENFACTORY_HOME is longer than {_LONGEST_HOME} bytes, too long for the sockets below it: {home}",
            path="OPENFACTORY_HOME",
            next="Set OPENFACTORY_HOME to a shorter path.",
        )
    port = _port(env)
    bind = env.get("OPENFACTORY_BIND", "127.0.0.1")
    return Settings(
        home=home,
        bind=bind,
        port=port,
        public_url=_public_url(env, port),
        host_id=env.get("OPENFACTORY_HOST_ID") or os.uname().nodename,
        temporal=_temporal(env),
        database_url=_secret(env, "DATABASE_URL"),
        front_database_url=_secret(env, "OPENFACTORY_FRONT_DATABASE_URL"),
        admission_database_url=_secret(env, "OPENFACTORY_ADMISSION_DATABASE_URL"),
        s3=_s3(env),
        libvirt_uri=env.get("OPENFACTORY_LIBVIRT_URI") or None,
        mcp_url=env.get("OPENFACTORY_MCP_URL") or None,
        allowed_hosts=_hosts(env, "OPENFACTORY_ALLOWED_HOSTS"),
        trusted_proxies=_proxies(env, "OPENFACTORY_TRUSTED_PROXIES"),
        relay_bind=_relay_bind(env),
        relay_url=(env.get("OPENFACTORY_RELAY_URL") or "").rstrip("/") or None,
        relay_secret=_relay_secret(env),
        accelerator=_accelerator(env),
        builds=_builds(env),
        mirror=env.get("OPENFACTORY_MIRROR") or None,
        security_mirror=env.get("OPENFACTORY_SECURITY_MIRROR") or None,
        image_mirror=env.get("OPENFACTORY_IMAGE_MIRROR") or None,
        egress_allow=_networks(env, "OPENFACTORY_EGRESS_ALLOW"),
        guests=_switch(env, "OPENFACTORY_GUESTS"),
        disk=DiskSettings(
            watermark_bytes=_gigabytes(env, "OPENFACTORY_DISK_WATERMARK_GB"),
            store_bytes=_gigabytes(env, "OPENFACTORY_STORE_GB"),
        ),
    )


def _default_home() -> str:
    return "/var/lib/openfactory" if os.geteuid() == 0 else "~/.local/share/openfactory"


def _port(env: Mapping[str, str]) -> int:
    text = env.get("OPENFACTORY_PORT") or str(DEFAULT_PORT)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:  # noqa: PLR2004 - RFC 6335, port numbers
        raise Verdict.because(
            "settings.invalid", "OPENFACTORY_PORT must be a number from 1 to 65535", path="OPENFACTORY_PORT", value=text
        )
    return int(text)


def _public_url(env: Mapping[str, str], port: int) -> str:
    text = (env.get("OPENFACTORY_URL") or f"http://127.0.0.1:{port}").rstrip("/")
    if host_of_url(text) is None:
        raise Verdict.because(
            "settings.invalid",
            "OPENFACTORY_URL must be an address like https://factory.example or http://[fd00::5]:7300",
            path="OPENFACTORY_URL",
            value=text,
        )
    return text


def _relay_bind(env: Mapping[str, str]) -> str:
    text = env.get("OPENFACTORY_RELAY_BIND") or "127.0.0.1:0"
    address, colon, port = text.rpartition(":")
    if not address or not colon or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - RFC 6335, port numbers
        raise Verdict.because(
            "settings.invalid",
            "OPENFACTORY_RELAY_BIND must be an address and a port, as in 127.0.0.1:7301",
            path="OPENFACTORY_RELAY_BIND",
            value=text,
        )
    return text


def _relay_secret(env: Mapping[str, str]) -> SecretStr | None:
    secret = _secret(env, "OPENFACTORY_RELAY_SECRET")
    if secret is not None and len(secret.get_secret_value()) < _SHORTEST_SECRET:
        raise Verdict.because(
            "settings.invalid",
            f"OPENFACTORY_RELAY_SECRET must have at least {_SHORTEST_SECRET} characters",
            path="OPENFACTORY_RELAY_SECRET",
            next="Make one with: openssl rand -hex 32",
        )
    return secret


def _accelerator(env: Mapping[str, str]) -> Literal["auto", "kvm", "tcg"]:
    text = env.get("OPENFACTORY_ACCELERATOR") or "auto"
    if text not in ("auto", "kvm", "tcg"):
        raise Verdict.because(
            "settings.invalid",
            "OPENFACTORY_ACCELERATOR must be auto, kvm or tcg",
            path="OPENFACTORY_ACCELERATOR",
            value=text,
        )
    return text


def _switch(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name) or "off"
    if text not in ("on", "off"):
        raise Verdict.because("settings.invalid", f"{name} must be on or off", path=name, value=text)
    return text == "on"


def _builds(env: Mapping[str, str]) -> int | None:
    text = env.get("OPENFACTORY_BUILDS")
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_BUILDS:
        raise Verdict.because(
            "settings.invalid",
            f"OPENFACTORY_BUILDS must be a number from 1 to {_MOST_BUILDS}: how many builds run at a time",
            path="OPENFACTORY_BUILDS",
            value=text,
        )
    return int(text)


def _networks(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    words = env.get(name, "").replace(",", " ").split()
    try:
        return tuple(str(IPv4Network(word)) for word in words)
    except ValueError as error:
        raise Verdict.because(
            "settings.invalid", f"{name} must be IPv4 networks like 192.168.5.0/24: {error}", path=name
        ) from error


def _proxies(env: Mapping[str, str], name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    words = env.get(name, "").replace(",", " ").split()
    try:
        networks = tuple(map(ip_network, words))
    except ValueError as error:
        raise Verdict.because(
            "settings.invalid", f"{name} must be addresses or networks like 127.0.0.1 or fd00::/64: {error}", path=name
        ) from error
    if any(network.prefixlen == 0 for network in networks):
        message = f"{name} trusts everybody, so that anybody could ask in another's name"
        raise Verdict.because("settings.invalid", message, path=name, next="Name the addresses of your proxies.")
    return networks


def _hosts(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    hosts: list[str] = []
    for word in env.get(name, "").replace(",", " ").split():
        host = host_named(word)
        if host is None:
            raise Verdict.because(
                "settings.invalid",
                f"{name} must be names or addresses like factory.example, 10.0.0.5 or fd00::5, and not: {word}",
                path=name,
                value=word,
                next="Leave out http:// and paths; a name with other than ASCII letters is written as xn--….",
            )
        hosts.append(host)
    return tuple(hosts)


def _gigabytes(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1 << 20:
        message = f"{name} must be a number of gigabytes, as in 2.5"
        raise Verdict.because("settings.invalid", message, path=name, value=text)
    return int(number * 1e9)


def _secret(env: Mapping[str, str], name: str) -> SecretStr | None:
    return SecretStr(env[name]) if env.get(name) else None


def _temporal(env: Mapping[str, str]) -> TemporalSettings | None:
    if not env.get("TEMPORAL_ADDRESS"):
        return None
    return TemporalSettings(
        address=env["TEMPORAL_ADDRESS"],
        namespace=env.get("TEMPORAL_NAMESPACE") or "default",
        api_key=_secret(env, "TEMPORAL_API_KEY"),
    )


def _s3(env: Mapping[str, str]) -> S3Settings | None:
    if not env.get("S3_ENDPOINT"):
        return None
    return S3Settings(
        endpoint=env["S3_ENDPOINT"],
        access_key=env.get("S3_ACCESS_KEY", ""),
        secret_key=SecretStr(env.get("S3_SECRET_KEY", "")),
        bucket=env.get("S3_BUCKET") or "openfactory",
        region=env.get("S3_REGION") or "us-east-1",
    )


def missing(variable: str) -> Verdict:
    """Say that a program needs a setting which it was not given."""
    return Verdict.because(
        "settings.invalid",
        f"{variable} is not set",
        path=variable,
        next="Start the stack with `openfactory up`, which sets it for its parts, or set it yourself.",
    )
