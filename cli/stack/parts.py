"""The parts of the stack, each as one value. What is configured from outside is not among them."""

import signal
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cli.stack.endpoints import Endpoints
from cli.stack.environment import ROOT, Environments
from cli.stack.forked import socket_path
from cli.stack.forkserver import ENVIRONMENT_BYTES
from cli.stack.part import Answers, Ends, LastingError, Listens, Notifies, Part, ServesPostgres
from infra import embedded_postgres, libvirt_daemon
from infra.libvirt_paths import LibvirtPaths
from infra.settings import Settings

SEARCH_ATTRIBUTES: Final = ("JobKind", "JobState", "OrgId", "Recipe")

# Go lets a heap double before it collects (GOGC=100). Most of what weed holds are buffers that it has not touched yet,
# but they count too, so a tenth is plenty: to store 400 MB takes as long as with a fifth, and 4.0 s of a processor
# instead of 3.7. Garbage that is collected late lies where the next buffer comes to be, which is then cleared, and so
# touched: by itself weed took 70 to 131 MiB of memory of its own with a fifth, and 65 to 85 with a tenth. The limit is
# for what is stored at once. It has to be well above what weed holds at rest (236 MiB with its readers of changes,
# mostly untouched): at 256 MiB it collected eight times a second for ever, and took a tenth of a processor from the
# emulated guests.
_WEED_GO: Final = {"GOGC": "10", "GOMEMLIMIT": "384MiB"}
_TEMPORAL_GO: Final = {"GOGC": "25"}
_FORKED: Final = ("forkserver",)
SHARED: Final = (
    *("aiohttp.web", "minio", "psycopg", "psycopg_pool"),
    *("temporalio.client", "temporalio.contrib.pydantic", "temporalio.worker"),
    *("event_store.catalog", "infra.process", "service.running", "service.wiring"),
    *("workflows.client", "workflows.vm_client"),
)
"""What more than one of our programs loads, itself or among what it needs."""
_WEED_VOLUMES: Final = 100  # of 1 GiB each; a volume takes space only as it fills
_WEED_ROOM: Final = 64 << 20
_WEED_GRPC: Final = (
    ("s3", "s3_grpc"),
    ("filer", "s3_filer_grpc"),
    ("master", "s3_master_grpc"),
    ("volume", "s3_volume_grpc"),
)


def stack_parts(settings: Settings, endpoints: Endpoints, ports: dict[str, int]) -> tuple[Part, ...]:
    """List what to run for these settings, in the order in which it is shown."""
    environments = Environments(settings, endpoints)
    servers = {
        "postgres": lambda: _postgres(settings, environments, ports),
        "temporal": lambda: _temporal(settings, environments, ports),
        "s3": lambda: _s3(settings, environments, ports),
        "libvirt": lambda: _libvirt(settings, environments),
    }
    embedded = tuple(make() for name, make in servers.items() if name in endpoints.embedded)
    ours = (*_workers(environments, endpoints.embedded), *_faces(settings, environments, endpoints))
    return (_forkserver(settings, environments), *embedded, *ours)


def _forkserver(settings: Settings, environments: Environments) -> Part:
    path = socket_path(settings.run)
    return Part(
        name="forkserver",
        argv=(*_python("cli.stack.forkserver"), str(path), *SHARED),
        env=environments.python("forkserver") | {"OPENFACTORY_ROOM": "-" * ENVIRONMENT_BYTES},
        probes=(Notifies(),),
        stop_seconds=1.0,
        leaves=(path,),
    )


def _postgres(settings: Settings, environments: Environments, ports: dict[str, int]) -> Part:
    return Part(
        name="postgres",
        argv=tuple(embedded_postgres.server_argv(settings.home / "postgres" / "data", ports["postgres"])),
        env=environments.base("postgres"),
        probes=(ServesPostgres(dsn=f"host=127.0.0.1 port={ports['postgres']} user=postgres"),),
        stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for clients (postgres(1))
        stop_seconds=4.0,
    )


MATCHING: Final = tuple(
    word
    for setting in (
        "matching.enableFairness=true",
        # Fairness and priority hold within a partition of a task queue, and one server needs no more than one.
        "matching.numTaskqueueReadPartitions=1",
        "matching.numTaskqueueWritePartitions=1",
        # By default a queue is read at most twenty times a second: as soon as some workflows go on at once, each of
        # their steps waits up to 50 ms. One server for one factory may look as often as there is news.
        "history.transferProcessorMaxPollRPS=1000",
    )
    for word in ("--dynamic-config-value", setting)
)
"""How the development server hands out tasks that wait: by priority, and in turn among organizations."""


def _temporal(settings: Settings, environments: Environments, ports: dict[str, int]) -> Part:
    attributes = [word for name in SEARCH_ATTRIBUTES for word in ("--search-attribute", f"{name}=Keyword")]
    return Part(
        name="temporal",
        argv=(
            _program("temporal"),
            *("--env-file", str(ROOT / "temporal-dev.yaml")),
            *("--env", "dev"),
            *("server", "start-dev"),
            *("--ip", "127.0.0.1"),
            *("--port", str(ports["temporal"])),
            *("--ui-port", str(ports["temporal_ui"])),
            *("--http-port", str(ports["temporal_http"])),
            *("--metrics-port", str(ports["temporal_metrics"])),
            *("--db-filename", str(settings.home / "temporal" / "temporal.db")),
            *attributes,
            *MATCHING,
        ),
        env=environments.base("temporal") | _TEMPORAL_GO,
        # Through the UI's server to the frontend: when it knows the namespace, all of it is up.
        probes=(Answers(port=ports["temporal_ui"], path="/api/v1/namespaces/default", statuses=(200,)),),
        stop_seconds=4.0,
    )


def _s3(settings: Settings, environments: Environments, ports: dict[str, int]) -> Part:
    return Part(
        name="s3",
        argv=(
            _program("weed"),
            "-logtostderr=true",
            "server",
            f"-dir={settings.home / 's3'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={ports['s3_master']}",
            f"-master.port.grpc={ports['s3_master_grpc']}",
            # A master that is alone needs no quorum; with the default it waits 20 s for one after a restart.
            "-master.electionTimeout=1s",
            "-master.heartbeatInterval=100ms",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=1024",
            f"-volume.port={ports['s3_volume']}",
            f"-volume.port.grpc={ports['s3_volume_grpc']}",
            f"-volume.max={_WEED_VOLUMES}",
            "-volume.preStopSeconds=0",
            "-filer",
            f"-filer.port={ports['s3_filer']}",
            f"-filer.port.grpc={ports['s3_filer_grpc']}",
            f"-filer.localSocket={settings.run / 'filer.sock'}",
            "-s3",
            f"-s3.port={ports['s3']}",
            f"-s3.port.grpc={ports['s3_grpc']}",
            f"-s3.localSocket={settings.run / 's3.sock'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            f"-s3.config={s3_config(settings)}",
        ),
        env=environments.base("s3") | _WEED_GO,
        probes=(
            Answers(port=ports["s3"], statuses=(403,)),
            # Without a volume server that has joined, every write fails.
            Answers(port=ports["s3_master"], path="/dir/status", statuses=(200,), contains='"DataNodes"'),
        ),
        # Asked to stop it waits 15 s for streams between its own parts. By then all its clients are gone, and
        # what it had acknowledged is with the kernel: killing it loses nothing (see the stack's fault test).
        stop_signal=signal.SIGKILL,
        leaves=(
            *(_weed_socket(server, ports[port]) for server, port in _WEED_GRPC),
            settings.run / "filer.sock",
            settings.run / "s3.sock",
        ),
        # Its index keeps the error of a write that failed, and refuses every other until it is opened anew
        # (https://github.com/syndtr/goleveldb/issues/196).
        lasting_error=LastingError(said=b"no space left on device", folder=settings.home / "s3", room_bytes=_WEED_ROOM),
    )


def _weed_socket(server: str, port: int) -> Path:
    return Path(f"/tmp/seaweedfs-{server}-grpc-{port}.sock")  # noqa: S108 - where weed puts them


def _libvirt(settings: Settings, environments: Environments) -> Part:
    return Part(
        name="libvirt",
        argv=tuple(libvirt_daemon.command(settings.home)),
        # By itself, though it could be forked off: machines end with it, so it must not end with the fork server.
        env=environments.python("libvirt"),
        probes=(Listens(path=LibvirtPaths(home=settings.home).socket),),
        stop_seconds=6.0,
    )


def _workers(e: Environments, embedded: frozenset[str]) -> tuple[Part, ...]:
    return (
        Part(
            name="migrate",
            argv=_python("cli.stack.migrate"),
            forked=True,
            env=e.python("migrate") | e.migration() | e.temporal(),
            after=(*_FORKED, *_of(embedded, "postgres", "temporal")),
            probes=(Ends(),),
            ready_seconds=3600.0,  # it makes the read models anew when their shape changed, of however many events
        ),
        Part(
            # By itself, because the embedded object store takes the longest to come up.
            name="bucket",
            argv=_python("cli.stack.bucket"),
            forked=True,
            env=e.python("bucket") | e.objects(),
            after=(*_FORKED, *_of(embedded, "s3")),
            probes=(Ends(),),
        ),
        Part(
            name="core-worker",
            argv=_python("workflows.core_worker"),
            forked=True,
            env=e.python("core-worker") | e.temporal() | e.owner() | e.objects(),
            after=(*_FORKED, "migrate"),
            uses=_of(embedded, "s3"),
            probes=(Notifies(),),
            stop_seconds=7.0,
        ),
        Part(
            name="host-worker",
            argv=_python("workflows.host_worker"),
            forked=True,
            env=e.python("host-worker") | e.temporal() | e.objects() | e.host(),
            # It waits for the workflow engine itself, which gives its imports the time in which the servers come up.
            after=(*_FORKED, *_of(embedded, "libvirt")),
            uses=_of(embedded, "temporal", "s3"),
            probes=(Notifies(),),
            ready_seconds=90.0,
            stop_seconds=8.0,
        ),
        Part(
            name="projector",
            argv=_python("event_store.projector"),
            forked=True,
            env=e.python("projector") | e.owner(),
            after=(*_FORKED, "migrate"),
            probes=(Notifies(),),
            stop_seconds=4.0,
        ),
    )


def _faces(settings: Settings, e: Environments, endpoints: Endpoints) -> tuple[Part, ...]:
    # The faces start at once: what they lack at first they answer for until it is there.
    servers = _of(endpoints.embedded, "postgres", "temporal", "s3")
    shared = e.temporal() | e.front() | e.objects() | {"OPENFACTORY_MCP_URL": endpoints.mcp_url}
    server = Part(
        name="mcp",
        argv=_python("mcp_server"),
        forked=True,
        after=_FORKED,
        env=e.python("mcp") | shared,
        uses=servers,
        probes=(Answers(port=urlsplit(endpoints.mcp_url).port or 0, path="/healthz", statuses=(200,)),),
    )
    gateway = Part(
        name="gateway",
        argv=_python("console"),
        forked=True,
        after=_FORKED,
        env=e.python("gateway") | shared,
        uses=servers,
        probes=(Answers(port=settings.port, address=reachable(settings.bind)),),
    )
    return (server, gateway) if "mcp" in endpoints.embedded else (gateway,)


def reachable(bind: str) -> str:
    """Return an address of this machine at which a server bound to `bind` answers."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - recognised, not bound to


def _of(embedded: frozenset[str], *names: str) -> tuple[str, ...]:
    return tuple(name for name in names if name in embedded)


def _program(name: str) -> str:
    """The program of a wheel, beside the interpreter that runs this."""
    return str(Path(sys.executable).with_name(name))


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)


def s3_config(settings: Settings) -> Path:
    """The embedded object store's list of identities."""
    return settings.home / "s3" / "identities.json"
