"""The rules of the house, checked on the source: floors, rooms for libraries, names, and complete documentation."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from dragoman.cli.main import main

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "dragoman"

FLOORS = {
    "messages": 1,
    "dialects": 2,
    "providers": 3,
    "sidecar": 3,
    "config": 4,
    "upstream": 4,
    "store": 4,
    "routing": 5,
    "accounts": 5,
    "gateway": 6,
    "telemetry": 6,
    "server": 7,
    "demo": 7,
    "cli": 8,
}

LIBRARIES = {
    "messages": {"msgspec"},
    "dialects": {"msgspec"},
    "providers": {"msgspec", "azure", "google"},
    "sidecar": {"msgspec", "litellm", "uvicorn"},  # the latter two in a launcher, which runs elsewhere
    "config": {"msgspec", "yaml", "dotenv"},
    "upstream": {"msgspec", "httptools"},
    "routing": {"msgspec"},
    "gateway": {"msgspec"},
    "telemetry": {"msgspec"},
    "server": {"msgspec", "starlette", "uvicorn", "httptools", "uvloop"},
    "demo": {"msgspec", "starlette", "uvicorn", "uvloop"},
    "cli": {"msgspec", "click", "rich", "uvloop"},
}

BANNED_NAMES = re.compile(r"^(utils?|helpers?|common|managers?|base|base_.*|ctx|context|data|info|misc|tools_?lib)$")

# Who besides `config` may look at the environment, and why.
ENVIRONMENT = {
    "cli/configuration.py": "handed to config; the child environment of Claude Code; names that conflict",
    "cli/terminal.py": "NO_COLOR",
    "sidecar/launch_litellm.py": "runs in LiteLLM's process, and sets what that reads",
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(path: Path) -> str | None:
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else None


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that `path` imports, wherever in the file, with its line. Names from packages come along."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*up, *([node.module] if node.module else [])])
            yield origin, node.lineno
            yield from ((f"{origin}.{alias.name}", node.lineno) for alias in node.names)


def test_every_room_has_a_floor() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= FLOORS.keys()
    assert rooms <= LIBRARIES.keys()


def test_a_floor_imports_only_floors_below() -> None:
    wrong = []
    for path in modules():
        own = room(path)
        if own is None:
            continue
        for name, line in imports(path):
            parts = name.split(".")
            if parts[0] != "dragoman" or len(parts) < 2 or parts[1] not in FLOORS or parts[1] == own:
                continue
            # server/application.py is the composition root; the rooms of its own floor meet in cli.
            if FLOORS[parts[1]] >= FLOORS[own]:
                wrong.append(f"{relative(path)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_dialects_do_not_import_each_other() -> None:
    wrong = []
    for path in (SOURCE / "dialects").glob("*/*.py"):
        for name, line in imports(path):
            parts = name.split(".")
            inside = parts[:2] == ["dragoman", "dialects"] and len(parts) > 2
            if inside and parts[2] not in (path.parent.name, "contract", "alike"):
                wrong.append(f"{relative(path)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_no_circles() -> None:
    known = {module_name(path): path for path in modules()}
    needs = {
        name: {
            found
            for imported, _ in imports(path)
            if (found := imported) in known and found != name and not name.startswith(found + ".")
        }
        for name, path in known.items()
    }
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, "circle: " + " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for needed in sorted(needs[name]):
                walk(needed, (*way, name))
            done.add(name)

    for name in sorted(known):
        walk(name, ())


def test_libraries_stay_in_their_room() -> None:
    wrong = []
    for path in modules():
        allowed = LIBRARIES.get(room(path) or "", set())
        for name, line in imports(path):
            top = name.split(".")[0]
            if top and top != "dragoman" and top not in sys.stdlib_module_names and top not in allowed:
                wrong.append(f"{relative(path)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.failure(146)
def test_lower_floors_do_no_input_and_output() -> None:
    """Floors 1 and 2 are pure: no sockets, clock, randomness, logging or environment."""
    banned = {"asyncio", "logging", "os", "random", "secrets", "socket", "ssl", "subprocess", "threading", "time"}
    wrong = []
    for path in modules():
        if room(path) not in ("messages", "dialects"):
            continue
        wrong += [f"{relative(path)}:{line} {name}" for name, line in imports(path) if name.split(".")[0] in banned]
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "open"):
                wrong.append(f"{relative(path)}:{node.lineno} {node.func.id}()")
            if isinstance(node, ast.AsyncFunctionDef):
                wrong.append(f"{relative(path)}:{node.lineno} async def {node.name}")
    assert not wrong, "\n".join(wrong)


def test_dialects_know_no_providers() -> None:
    """A difference between servers is a quirk, never a comparison with a provider's name."""
    wrong = []
    for path in (SOURCE / "dialects").rglob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Compare):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                if any(side == "provider" or side.endswith(".provider") for side in sides):
                    wrong.append(f"{relative(path)}:{node.lineno} {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


def test_only_config_reads_the_environment() -> None:
    wrong = []
    for path in modules():
        if room(path) == "config" or relative(path) in ENVIRONMENT:
            continue
        for node in ast.walk(tree(path)):
            text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            if text in ("os.environ", "os.getenv", "os.environb") or (
                isinstance(node, ast.ImportFrom)
                and node.module == "os"
                and any(alias.name in ("environ", "getenv") for alias in node.names)
            ):
                wrong.append(f"{relative(path)}:{node.lineno}")
    assert not wrong, "\n".join(wrong)


def test_module_names_are_words_of_the_house() -> None:
    assert not [relative(path) for path in SOURCE.rglob("*") if BANNED_NAMES.match(path.stem) and path.suffix != ".pyc"]


def test_no_silent_catch_all() -> None:
    """`except Exception: pass` hides what nobody looks at again."""
    wrong = []
    for path in modules():
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            if broad and all(isinstance(step, ast.Pass | ast.Continue) for step in node.body):
                wrong.append(f"{relative(path)}:{node.lineno}")
    assert not wrong, "\n".join(wrong)


def test_no_module_level_mutable_state() -> None:
    """Names at module level are constants: nothing appends to them, and `global` is not used."""
    wrong = [
        f"{relative(path)}:{node.lineno} global {', '.join(node.names)}"
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Global)
    ]
    assert not wrong, "\n".join(wrong)


def test_functions_fit_a_screen_and_files_are_about_one_thing() -> None:
    wrong = []
    for path in modules():
        lines = path.read_text("utf-8").count("\n")
        if lines > 650:
            wrong.append(f"{relative(path)}: {lines} lines")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if length > 70:
                    wrong.append(f"{relative(path)}:{node.lineno} {node.name}: {length} lines")
    assert not wrong, "\n".join(wrong)


def test_nothing_is_left_unfinished() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    wrong = [
        f"{relative(path)}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if marks.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_module_says_what_it_is() -> None:
    assert not [relative(p) for p in modules() if p.read_text("utf-8").strip() and not ast.get_docstring(tree(p))]


def documentation() -> str:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return "\n".join(page.read_text("utf-8") for page in pages)


def commands(group: click.Group, context: click.Context, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """All of them, those of groups too, with their names as they are typed."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield prefix + name, command
        if isinstance(command, click.Group):
            yield from commands(command, context, f"{prefix}{name} ")


def test_every_command_and_option_is_documented() -> None:
    text = documentation()
    missing = []
    context = click.Context(main)
    for name, command in commands(main, context):
        if f"dragoman {name}" not in text:
            missing.append(f"dragoman {name}")
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                longest = max(parameter.opts, key=len)
                if f"`{longest}" not in text and f" {longest}" not in text:
                    missing.append(f"dragoman {name} {longest}")
    assert not missing, f"say what these do in README.md or docs/: {missing}"


def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    explained = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    assert set(phony[1].split()) == explained


def test_links_inside_the_documentation_lead_somewhere() -> None:
    wrong = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        wrong += [
            f"{page.relative_to(ROOT)} -> {target}"
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
            if "://" not in target and not (page.parent / target).exists()
        ]
    assert not wrong, "\n".join(wrong)


def test_contributing_fits_a_screen() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) <= 60


def test_tests_mirror_the_house() -> None:
    """Each test file of a room stands where its source file stands."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert not {name for name in names if names.count(name) > 1}
    rooms = {path.parent.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").glob("*/test_*.py")}
    assert rooms <= FLOORS.keys() | {"bench", "clients", "playbook", "cases", "deploy", "predecessors", "chaos", "fuzz"}
