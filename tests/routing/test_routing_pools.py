"""Weights, several keys, and what is asked about longer conversations, by one file."""

from pathlib import Path

import pytest

from dragoman import config
from dragoman.messages.errors import ApiError
from dragoman.routing import Router
from dragoman.routing.route import Group, Route

PROVIDERS = """
providers:
  lab: {base_url: 'http://lab.test/v1', api_keys: [a, b], models: [m]}
  hall: {base_url: 'http://hall.test/v1', api_key: c}
  off: {preset: groq}
"""


def route(folder: Path, models: str, name: str = "sonnet", more: str = "") -> Route:
    (folder / "dragoman.yaml").write_text(f"{PROVIDERS}{more}models: {{{models}}}\n", "utf-8")
    found, _ = config.load(path=None, environ={}, folder=folder, home=folder)
    return Router(found).route(name)


def shown(groups: tuple[Group, ...]) -> list[dict[str, tuple[int, float]]]:
    """Groups as `provider/model` -> number of keys and weight."""
    return [
        {f"{each.slots[0].provider}/{each.slots[0].model}": (len(each.slots), round(each.weight, 2)) for each in group}
        for group in groups
    ]


def test_with_nothing_to_choose_there_are_no_groups(tmp_path: Path) -> None:
    found = route(tmp_path, "sonnet: [hall/x, hall/y]")
    assert (found.groups, [each.model for each in found.targets]) == ((), ["x", "y"])


def test_several_keys(tmp_path: Path) -> None:
    found = route(tmp_path, "sonnet: [lab/x, hall/y]")
    assert shown(found.groups) == [{"lab/x": (2, 1.0)}, {"hall/y": (1, 1.0)}]
    assert [each.key for each in found.groups[0][0].slots] == ["lab.api_keys[0]", "lab.api_keys[1]"]
    assert [each.model for each in found.targets] == ["x", "y"]
    assert "lab has 2 keys, and each conversation keeps to one" in found.steps


def test_weights(tmp_path: Path) -> None:
    found = route(tmp_path, "sonnet: [{hall/x: 3, hall/y: 1}, hall/z]")
    assert shown(found.groups) == [{"hall/x": (1, 3.0), "hall/y": (1, 1.0)}, {"hall/z": (1, 1.0)}]
    assert "goes to hall/x and hall/y (3:1), then hall/z" in "; ".join(found.steps)


def test_another_name_in_a_group_brings_what_it_shares_and_what_stands_behind_it(tmp_path: Path) -> None:
    found = route(tmp_path, "sonnet: {opus: 3, hall/z: 1}, opus: [{hall/x: 1, hall/y: 2}, hall/last]")
    assert shown(found.groups) == [
        {"hall/x": (1, 1.0), "hall/y": (1, 2.0), "hall/z": (1, 1.0)},
        {"hall/last": (1, 1.0)},
    ]


def test_the_same_place_twice(tmp_path: Path) -> None:
    found = route(tmp_path, "sonnet: [{hall/x: 1, opus: 1}, hall/x, hall/y], opus: hall/x")
    assert (found.groups, [each.model for each in found.targets]) == ((), ["x", "y"])


def test_what_is_not_ready_is_left_out_and_its_group_with_it(tmp_path: Path) -> None:
    found = route(tmp_path, "sonnet: [off/x, {off/y: 1, hall/z: 1}]")
    assert [each.model for each in found.targets] == ["z"]
    assert found.groups == ()
    with pytest.raises(ApiError, match="GROQ_API_KEY"):
        route(tmp_path, "sonnet: {off/x: 1, off/y: 1}")


def test_conversations_that_are_too_long(tmp_path: Path) -> None:
    found = route(tmp_path, "sonnet: {targets: hall/x, overflow: [opus, lab/y]}, opus: hall/large")
    assert shown(found.overflow) == [{"hall/large": (1, 1.0)}, {"lab/y": (2, 1.0)}]
    assert found.steps[-1] == "a conversation that is too long goes to opus, then lab/y"
    assert [each.model for each in found.targets] == ["x"]


def test_another_name_brings_its_own_word_about_long_conversations(tmp_path: Path) -> None:
    models = "opus: {targets: hall/x, overflow: hall/large}, sonnet: opus, haiku: {targets: opus, overflow: hall/y}"
    assert shown(route(tmp_path, models).overflow) == [{"hall/large": (1, 1.0)}]
    assert shown(route(tmp_path, models, "haiku").overflow) == [{"hall/y": (1, 1.0)}]
    assert shown(route(tmp_path, f"{models}, fable: {{sonnet: 1}}", "fable").overflow) == [{"hall/large": (1, 1.0)}]


def test_thinking_has_groups_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "dragoman.yaml").write_text(f"{PROVIDERS}thinker: {{hall/a: 1, hall/b: 1}}\n", "utf-8")
    found, _ = config.load(path=None, environ={}, folder=tmp_path, home=tmp_path)
    assert shown(Router(found).route("opus", thinking=True).groups) == [{"hall/a": (1, 1.0), "hall/b": (1, 1.0)}]
