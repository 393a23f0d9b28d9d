"""Every side effect of the worker processes, enumerated from their source, and the means to die before or after it.

An effect is a call of one of `EFFECTS`. Its point is named `<module>:<function>:<call>`, with a number where a function
has several. The product knows nothing of this: a process of the laboratory loads the product's modules through
`Instrumented`, which wraps each such call at import. What is a side effect is decided by name, so
`test_crash_points.py` asks the libraries themselves which names they have: a call of one that is in neither list
below fails that test until somebody has said what it is.
"""

import ast
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple, TypeVar

ROOT = Path(__file__).parents[2]
T = TypeVar("T")

_FILES = {
    *(
        "chmod",
        "chown",
        "copy",
        "copyfile",
        "fchmod",
        "fsync",
        "fdopen",
        "hardlink_to",
        "link",
        "mkdir",
        "mkdtemp",
        "mkstemp",
    ),
    *("NamedTemporaryFile", "TemporaryDirectory", "open", "rename", "replace", "rmtree", "touch", "unlink", "utime"),
    *("write", "writelines", "write_bytes", "write_text", "copyfileobj", "truncate", "symlink_to", "rmdir"),
}
_PROGRAMS = {"run", "run_stage", "create_subprocess_exec", "kill", "killpg", "Popen", "send_signal", "terminate"}
_OBJECTS = {
    *("_abort_multipart_upload", "abort_uploads", "delete", "make_bucket", "put", "put_file", "put_object"),
    "remove_object",
}
_DATABASE = {"commit", "execute", "executemany", "insert_events"}
_TEMPORAL = {
    *("complete", "execute_update", "execute_workflow", "heartbeat", "report_cancellation", "signal", "start_update"),
    *("start_workflow", "signal_with_start_workflow", "execute_update_with_start_workflow", "create_schedule"),
    *("terminate", "trigger", "update"),
}
_HYPERVISOR = {
    *("createWithFlags", "defineXML", "destroy", "qemuAgentCommand", "qemuMonitorCommand", "resume", "shutdownFlags"),
    "undefineFlags",
}
EFFECTS = frozenset(_FILES | _PROGRAMS | _OBJECTS | _DATABASE | _TEMPORAL | _HYPERVISOR)

_NOT_OF_WORKERS = (
    # A stage is a program of its own in a sandbox, which ends with it; others are of libvirt's part and the launcher's.
    *("activities.imaging.stages", "activities.verification.guest", "infra.netns", "infra.libvirt_daemon"),
    *("infra.embedded_postgres", "activities.machines.pass_wire", "event_store.rebuild", "event_store.schema"),
    *("event_store.roles", "service.admission.schema"),
    # Questions, in transactions that can only read.
    *("event_store.front", "event_store.models", "event_store.open_jobs"),
)
_WORKFLOW_CODE = "from temporalio import workflow\n"
ROOMS = ("activities", "event_store", "infra", "service", "workflows", "mcp_server", "console")


class Point(NamedTuple):
    """A side effect's place in the source."""

    name: str
    module: str
    line: int


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the worker processes and faces in which an effect may be."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if is_instrumented(module, path):
                yield module, path


def is_instrumented(module: str, path: Path) -> bool:
    """Whether effects in this module are of the worker: a workflow has none, and others' are not its own."""
    foreign = any(module == other or module.startswith(f"{other}.") for other in _NOT_OF_WORKERS)
    return module.partition(".")[0] in ROOMS and not foreign and _WORKFLOW_CODE not in path.read_text(encoding="utf-8")


def enumerate_points() -> tuple[Point, ...]:
    """Read the source and answer every point."""
    return tuple(point for module, path in modules() for point in points_of(module, path))


def points_of(module: str, path: Path) -> tuple[Point, ...]:
    """Answer the points of one module."""
    finder = _Wrapper(module)
    finder.visit(ast.parse(path.read_text(encoding="utf-8")))
    return tuple(finder.points)


class _Wrapper(ast.NodeTransformer):
    """Wraps each effect, awaited or not, between `before(name)` and `after(name, …)`, and notes its point."""

    def __init__(self, module: str) -> None:
        self.points: list[Point] = []
        self._module = module
        self._scope: list[str] = []
        self._seen: dict[str, int] = {}

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._in_scope(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._in_scope(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._in_scope(node)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        if isinstance(node.value, ast.Call) and (verb := effect_of(node.value)):
            name = self._point(verb, node)
            self.generic_visit(node.value)
            return self._wrapped(name, node)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        verb = effect_of(node)
        name = self._point(verb, node) if verb else None
        self.generic_visit(node)
        return self._wrapped(name, node) if name else node

    def _in_scope(self, node: T) -> T:
        self._scope.append(getattr(node, "name"))  # noqa: B009 - a class or a function, typed as any node
        self.generic_visit(node)  # type: ignore[arg-type] # as above
        self._scope.pop()
        return node

    def _point(self, verb: str, node: ast.expr) -> str:
        base = f"{self._module}:{'.'.join(self._scope)}:{verb}"
        count = self._seen[base] = self._seen.get(base, 0) + 1
        name = base if count == 1 else f"{base}#{count}"
        self.points.append(Point(name, self._module, node.lineno))
        return name

    @staticmethod
    def _wrapped(name: str, node: ast.expr) -> ast.expr:
        """`after(name, (before(name), <node>)[1])`: order of evaluation does the rest."""

        def call(function: str, *arguments: ast.expr) -> ast.Call:
            hook = ast.Attribute(ast.Name("__crash_points__", ast.Load()), function, ast.Load())
            return ast.Call(hook, [ast.Constant(name), *arguments], [])

        pair = ast.Tuple([call("before"), node], ast.Load())
        second = ast.Subscript(pair, ast.Constant(1), ast.Load())
        return ast.fix_missing_locations(ast.copy_location(call("after", second), node))


def effect_of(call: ast.Call) -> str | None:
    """The effect that a call has: its own, or that of a function that it is given to run elsewhere."""
    name = name_of(call.func)
    if name in EFFECTS and _is_effect(name, call):
        return name
    if name in {"to_thread", "run_in_executor", "_call", "_unless"}:
        handed = [
            a.args[0] if isinstance(a, ast.Call) and name_of(a.func) == "partial" and a.args else a for a in call.args
        ]
        return next((found for a in handed if (found := name_of(a)) in EFFECTS), None)
    return None


def name_of(node: ast.expr) -> str | None:
    """The last part of a dotted name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def _is_effect(name: str, call: ast.Call) -> bool:
    """Tell effects from harmless calls of the same name."""
    if name == "replace":  # of a path: one argument; of a text: two; of a value: by keyword
        return isinstance(call.func, ast.Attribute) and len(call.args) == 1 and not call.keywords
    if name == "update":  # of a schedule; of a collection or a digest it is harmless
        return isinstance(call.func, ast.Attribute) and name_of(call.func.value) == "handle"
    if name == "copy":
        return isinstance(call.func, ast.Attribute) and name_of(call.func.value) == "shutil"
    if name == "open":
        mode = [a.value for a in (*call.args, *(k.value for k in call.keywords)) if isinstance(a, ast.Constant)]
        return any(isinstance(m, str) and set(m) & set("wax") and len(m) <= 3 for m in mode)
    if name == "run":
        return isinstance(call.func, ast.Name)  # infra.process.run; methods of that name call it in the end
    return True


class Hooks:
    """What wrapped calls call. `reached` is told each point and side, in the order in which they come."""

    def __init__(self, reached: Callable[[str, str], None]) -> None:
        self._reached = reached

    def before(self, name: str) -> None:
        self._reached(name, "before")

    def after(self, name: str, result: T) -> T:
        self._reached(name, "after")
        return result


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, hooks: Hooks) -> None:
        super().__init__(name, path)
        self._hooks = hooks

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(Path(self.path).read_text(encoding="utf-8"), self.path)
        return compile(ast.fix_missing_locations(_Wrapper(self.name).visit(tree)), self.path, "exec")

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__crash_points__"] = self._hooks
        super().exec_module(module)


class Instrumented(importlib.abc.MetaPathFinder):
    """Loads the product's modules with their effects wrapped. To be first in `sys.meta_path` before any is imported."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in ROOMS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or not is_instrumented(fullname, Path(spec.origin)):
            return spec
        spec.loader = _Loader(fullname, spec.origin, self._hooks)
        return spec


def instrument(reached: Callable[[str, str], None]) -> Hooks:
    """Wrap everything that is imported from now on."""
    hooks = Hooks(reached)
    sys.meta_path.insert(0, Instrumented(hooks))
    return hooks
