"""Every setting, preset and quirk is documented: the tables in docs/ are made from the source.

`UPDATE_DOCS=1 pytest tests/config/test_config_documentation.py` writes them.
"""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec import Struct

from dragoman import config
from dragoman.config import fields, google, keys, loading, settings
from dragoman.dialects import contract
from dragoman.dialects.anthropic import quirks as anthropic
from dragoman.dialects.chat import quirks as chat
from dragoman.dialects.gemini import quirks as gemini
from dragoman.dialects.responses import quirks as responses
from dragoman.providers import presets

ROOT = Path(__file__).parent.parent.parent


def comments(module: Any, kind: type[Struct]) -> dict[str, str]:
    """What the source says about each field: the docstring below it, or the comment behind it."""
    source = Path(module.__file__).read_text("utf-8")
    body = next(
        node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )
    found = {}
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = source.splitlines()[node.lineno - 1].partition("  # ")[2]
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                said = str(following.value.value)
            found[node.target.id] = " ".join(said.split())
    return found


def cell(text: str) -> str:
    return re.sub(r"(?<![(<])(https://[^\s|)]+[^\s|).,;:])", r"<\1>", text).replace("|", "\\|")


def shown(value: Any) -> str:
    if value is None or value in ("", (), {}):
        return ""
    return f"`{msgspec.json.encode(value).decode()}`" if not isinstance(value, str) else f"`{value}`"


def rows(module: Any, kind: type[Struct], prefix: str = "") -> Iterator[list[str]]:
    said = comments(module, kind)
    for field in msgspec.structs.fields(kind):
        default = field.default
        if default is msgspec.NODEFAULT:
            default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else None
        assert said[field.name], f"{kind.__name__}.{field.name} has no docstring"
        takes = fields.allowed(field.type).replace("a text (numbers and dates in quotes)", "a text")
        yield [f"`{prefix}{field.name}`", takes, shown(default), cell(said[field.name])]


def table(head: list[str], lines: Iterator[list[str]]) -> str:
    found = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in found)


def setting_table(module: Any, kind: type[Struct], prefix: str) -> str:
    return table(["setting", "takes", "default", "what it does"], rows(module, kind, prefix))


def environment_table() -> str:
    said = comments(loading, loading.Environment)
    return table(["variable", "what it does"], ([f"`{name}`", cell(text)] for name, text in said.items()))


def quirk_table(module: Any) -> str:
    return table(["quirk", "takes", "default", "what it does, and why it exists"], rows(module, module.Quirks))


def preset_table(*, local: bool) -> str:
    def lines() -> Iterator[list[str]]:
        for name, preset in presets().items():
            if preset.local is not local:
                continue
            further = (*preset.project_keys, *(preset.location_keys if preset.addressing == "region" else ()))
            variables = (*preset.keys, *preset.environment_keys, *(preset.base_url_keys if local else further))
            own = re.findall(r"\$\{(\w+)\}", preset.base_url)
            yield [
                f"`{name}`",
                f"[{preset.title}]({preset.documentation})",
                ", ".join(f"`{variable}`" for variable in (*variables, *own)),
                f"`{preset.base_url}`",
                *(
                    []
                    if local
                    else [f"`{preset.big}`" if preset.big else "", f"`{preset.small}`" if preset.small else ""]
                ),
                ", ".join(preset.languages()),
                "; ".join(
                    f"{dialect}: " + ", ".join(f"`{quirk}`" for quirk in language.quirks)
                    for dialect, language in preset.languages().items()
                    if language.quirks
                ),
            ]

    head = ["name", "provider", "variables", "address", *([] if local else ["big", "small"]), "languages", "quirks"]
    return table(head, lines())


TABLES = {
    "configuration.md": {
        "sections": lambda: setting_table(loading, loading._Root, ""),
        "server": lambda: setting_table(settings, settings.Server, "server."),
        "logs": lambda: setting_table(settings, settings.Logs, "logs."),
        "providers": lambda: setting_table(settings, settings.Entry, "providers.NAME."),
        "entra": lambda: setting_table(settings, settings.Entra, "providers.NAME.entra."),
        "facts": lambda: setting_table(contract, contract.Facts, "providers.NAME.facts.PATTERN."),
        "environment": environment_table,
    },
    "providers.md": {"hosted": lambda: preset_table(local=False), "local": lambda: preset_table(local=True)},
    "quirks.md": {
        "chat": lambda: quirk_table(chat),
        "responses": lambda: quirk_table(responses),
        "gemini": lambda: quirk_table(gemini),
        "anthropic": lambda: quirk_table(anthropic),
    },
}


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, made in TABLES.items() for name in made])
def test_the_table_in_the_documentation_is_complete(page: str, name: str) -> None:
    path = ROOT / "docs" / page
    text = path.read_text("utf-8")
    before, mark, rest = text.partition(f"<!-- table: {name} -->\n")
    assert mark, f"docs/{page} has no table {name}"
    _, end, after = rest.partition("<!-- end -->\n")
    wanted = f"{before}{mark}\n{TABLES[page][name]()}\n\n{end}{after}"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(wanted, "utf-8")
    assert path.read_text("utf-8") == wanted, "run: UPDATE_DOCS=1 pytest tests/config/test_config_documentation.py"


def test_every_override_is_documented_as_a_variable() -> None:
    read = {variable for variable, _, _ in loading.OVERRIDES} | {"DRAGOMAN_CONFIG"}
    assert read == {name for name in loading.Environment.__struct_fields__ if name.startswith("DRAGOMAN_")}


def test_the_example_loads(tmp_path: Path) -> None:
    example = ROOT / "dragoman.example.yaml"
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", example.read_text("utf-8")), "x")
    found, _ = config.load(path=example, environ=variables, folder=tmp_path, home=tmp_path)
    assert found.providers
    assert found.models
    tree = yaml.safe_load(example.read_text("utf-8"))
    assert set(tree) == set(loading._Root.__struct_fields__)


def test_every_variable_of_azure_is_documented() -> None:
    text = (ROOT / "docs" / "azure.md").read_text("utf-8")
    azure = presets()["azure"]
    told = {*azure.keys, *azure.token_keys, *azure.base_url_keys, *azure.version_keys, *azure.model_keys}
    told |= {keys.TENANT, keys.CLIENT, keys.SECRET, keys.AUTHORITY}
    assert not [variable for variable in told if f"`{variable}`" not in text]


def test_every_variable_of_google_is_documented() -> None:
    text = (ROOT / "docs" / "google.md").read_text("utf-8")
    told = {google.FILE, google.GCLOUD, keys.QUOTA, keys.METADATA}
    for preset in (presets()["gemini"], presets()["vertex"]):
        told |= {*preset.keys, *preset.base_url_keys, *preset.project_keys, *preset.location_keys, *preset.instead_keys}
    assert not [variable for variable in told if f"`{variable}`" not in text]


def test_every_variable_of_claude_is_documented() -> None:
    text = (ROOT / "docs" / "anthropic.md").read_text("utf-8")
    told: set[str] = set()
    for name in ("anthropic", "bedrock", "foundry", "anthropic-vertex"):
        preset = presets()[name]
        told |= {*preset.keys, *preset.base_url_keys, *preset.project_keys}
    assert not [variable for variable in told if f"`{variable}`" not in text]


@pytest.mark.parametrize(
    "page", [*(f"docs/{page}" for page in TABLES), "docs/anthropic.md", "docs/azure.md", "docs/google.md", "README.md"]
)
def test_examples_in_the_documentation_load(page: str, tmp_path: Path) -> None:
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text, "utf-8")
        variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "x")
        config.load(path=file, environ=variables, folder=tmp_path, home=tmp_path)
