"""The documentation as a site: its pages agree with the source, and it can be read without any other host.

`UPDATE_DOCS=1 pytest tests/deploy/test_site.py` writes what is made from the source.
"""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from clients.conftest import clean_environment
from deploy import house_picture
from deploy.documentation import DOCS, ROOT, blocks
from dragoman.config import load
from dragoman.routing import Router
from test_house import FLOORS, SOURCE

MKDOCS = ROOT / ".build" / "docs" / "bin" / "mkdocs"


def current(page: Path, wanted: str) -> None:
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(wanted, "utf-8")
    stale = f"{page.relative_to(ROOT)} is stale: UPDATE_DOCS=1 .venv/bin/pytest tests/deploy/test_site.py"
    assert page.exists(), stale
    assert page.read_text("utf-8") == wanted, stale


def test_the_picture_of_the_house_shows_the_rooms_that_there_are() -> None:
    rooms = {room: floor for room, floor in FLOORS.items() if (SOURCE / room).is_dir()}
    current(DOCS / "house.svg", house_picture.drawn(rooms))


def test_the_list_of_decisions_is_complete() -> None:
    lines = [
        "# Decisions",
        "",
        "What was decided while building, and why. Each page is short, and stays as it was.",
        "",
    ]
    for page in sorted((DOCS / "decisions").glob("0*.md")):
        title = page.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        number, _, words = title.partition(". ")
        assert int(number) == int(page.name[:4]), page.name
        lines.append(f"{number}. [{words}](decisions/{page.name})")
    current(DOCS / "decisions.md", "\n".join(lines) + "\n")


def commands() -> list[dict[str, str]]:
    """The variables in front of `dragoman serve` on the page of providers, one dictionary a command."""
    lines = "\n".join(blocks("start/providers.md", "sh")).splitlines()
    return [dict(re.findall(r"([A-Z_]+)=(\S+)", line)) for line in lines if line.endswith("dragoman serve")]


@pytest.mark.parametrize("variables", commands(), ids="+".join)
def test_the_variables_of_the_quick_start_are_enough(variables: dict[str, str], tmp_path: Path) -> None:
    config, _ = load(path=None, environ=variables, folder=tmp_path, home=tmp_path)
    (provider,) = config.providers.values()
    assert provider.ready, provider.why
    if provider.name != "azure":  # whose models are deployments: the page says how to ask for one
        (first, *_) = Router(config).route("sonnet").targets
        assert first.provider == provider.name


@pytest.mark.parametrize("page", ["start/providers.md", "start/claude-code.md"])
def test_the_configurations_of_the_quick_start_lead_somewhere(page: str, tmp_path: Path) -> None:
    for text in blocks(page, "yaml"):
        file = tmp_path / "dragoman.yaml"
        file.write_text(text, "utf-8")
        names = {"OPENAI_API_KEY", "DEEPSEEK_API_KEY", *re.findall(r"\$\{(\w+)\}", text)}
        config, _ = load(path=file, environ=dict.fromkeys(names, "x"), folder=tmp_path, home=tmp_path)
        for family in ("opus", "sonnet", "haiku"):
            assert Router(config).route(f"claude-{family}-5").targets, text


OLDER = re.findall(
    r"^## (.*?)\n(.*?)(?=^## |\Z)", (DOCS / "start" / "migrating.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize(("section", "text"), OLDER, ids=[section for section, _ in OLDER])
def test_the_settings_of_older_proxies_lead_where_the_page_says(section: str, text: str, tmp_path: Path) -> None:
    (settings,) = re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    (tmp_path / ".env").write_text(settings, "utf-8")
    config, _ = load(path=None, environ={}, folder=tmp_path, home=tmp_path)
    said = re.findall(r"(?:`([\w-]+)`|(what wants thinking)) goes to\s`([^`]+)`", text)
    assert said, section
    for name, thinking, target in said:
        (first, *_) = Router(config).route(name or "sonnet", thinking=bool(thinking)).targets
        assert f"{first.provider}/{first.model}" == target


class Parts(HTMLParser):
    """Addresses of everything that a browser fetches by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio"):
            self.found += [said.get("src") or ""]
        elif tag == "link" and said.get("rel") not in ("canonical", "next", "prev"):
            self.found += [said.get("href") or ""]


def built(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does."""
    if not MKDOCS.exists():
        pytest.skip("what builds the site is not installed: make docs")
    environ = {**clean_environment(target), "NO_MKDOCS_2_WARNING": "1"}
    command = [MKDOCS, "build", "--strict", "--site-dir", str(target)]
    return subprocess.run(command, cwd=source, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "built"
    done = built(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("link", ["nowhere.md", "clients.md#nowhere"])
def test_a_link_that_leads_nowhere_is_noticed(link: str, tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write(f"\n[There]({link})\n")
    done = built(tmp_path, tmp_path / "built")
    assert done.returncode != 0
    assert link.rpartition("#")[2] in done.stderr


def test_the_site_fetches_nothing_from_other_hosts(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        parts = Parts()
        parts.feed(page.read_text("utf-8"))
        assert any(part.endswith(".js") for part in parts.found)
        assert not [part for part in parts.found if "//" in part], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(?:https?:)?//", sheet.read_text("utf-8")), sheet


def test_every_page_is_in_the_site(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").exists(), page
    named = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2].partition("\nnot_in_nav")[0]
    pages = re.findall(r"\S+\.md", str(yaml.safe_load("nav:\n" + named)))
    assert len(pages) == len(set(pages))
