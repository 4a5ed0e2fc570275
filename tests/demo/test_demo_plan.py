"""What a few sentences of English ask for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.demo.plan import Step, call_arguments, rounds, tool_for
from dragoman.demo.wire import Function

TOOLS = [Function(name) for name in ("Read", "Write", "Edit", "Bash", "Agent", "Glob")]


def read(path: str) -> Step:
    return Step("read", {"path": path})


def edit(path: str, old: str, new: str) -> Step:
    return Step("edit", {"path": path, "old": old, "new": new})


def write(path: str, content: str) -> Step:
    return Step("write", {"path": path, "content": content + "\n"})


def run(command: str) -> Step:
    return Step("run", {"command": command, "description": f"Run {command.split(maxsplit=1)[0]}"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "read a.txt, then change foo to bar in it, then run `cat a.txt`",
            [[read("a.txt")], [edit("a.txt", "foo", "bar")], [run("cat a.txt")]],
        ),
        (
            "Read notes.txt and todo.md, replace 'hello world' with \"bye\" in notes.txt, then run the command ls -la.",
            [[read("notes.txt"), read("todo.md")], [edit("notes.txt", "hello world", "bye")], [run("ls -la")]],
        ),
        (
            "1. Read /tmp/w/a.txt\n2. Edit it: change foo to bar\n3. Run `cat /tmp/w/a.txt`",
            [[read("/tmp/w/a.txt")], [edit("/tmp/w/a.txt", "foo", "bar")], [run("cat /tmp/w/a.txt")]],
        ),
        ("change foo to bar in src/a.py", [[read("src/a.py")], [edit("src/a.py", "foo", "bar")]]),
        ("In a.txt, replace every `foo` by `bar`.", [[read("a.txt")], [edit("a.txt", "foo", "bar")]]),
        ("change foo to foo in a.txt", []),
        ("write hello to b.txt", [[write("b.txt", "hello")]]),
        ("create b.txt with the content hello there", [[write("b.txt", "hello there")]]),
        ("Create b.txt containing 'x y' and run `cat b.txt`", [[write("b.txt", "x y")], [run("cat b.txt")]]),
        ("create c.txt", [[write("c.txt", "Written by dragoman's simulated demo model.")]]),
        ("write d.txt with 'a', change a to b in it", [[write("d.txt", "a")], [edit("d.txt", "a", "b")]]),
        ("run ls", [[run("ls")]]),
        ("Use the Bash tool to run `ls -l`", [[run("ls -l")]]),
        ("list the files", [[Step("run", {"command": "ls", "description": "List files"})]]),
        ("list the files in /tmp/w", [[Step("run", {"command": "ls /tmp/w", "description": "List files"})]]),
        (
            'call Read with {"file_path": "/x/{y}"}',
            [[Step("call", tool="Read", arguments={"file_path": "/x/{y}"})]],
        ),
        ("use Agent, please", [[Step("call", tool="Agent")]]),
        ("call nobody", []),
        ("what is the weather in Paris?", []),
        ("hello, can you read?", []),
        ("run the tests", []),
        ("run", []),
        ("read the docs, e.g. none", []),
        ("write a poem about the sea", []),
        ("say { and \x00", []),
        ("list what you can do", []),
        ("edit a.txt", []),
        ("", []),
    ],
)
def test_what_is_asked(text: str, expected: list[list[Step]]) -> None:
    assert rounds(text, TOOLS) == expected


@given(st.text())
def test_any_text_is_a_request(text: str) -> None:
    rounds(text, TOOLS)


def test_few_tools_are_called_when_they_are_spoken_of() -> None:
    tools = [Function("get_weather"), Function("getStockPrice"), Function("get")]
    assert rounds("What is the weather in Paris?", tools) == [[Step("call", tool="get_weather")]]
    assert rounds("the stock price of X", tools) == [[Step("call", tool="getStockPrice")]]
    assert rounds("the stock of X", tools) == []
    assert rounds("What is the weather?", [*tools, *TOOLS]) == []  # many tools: a mere word is no request


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (read("a"), "Read"),
        (run("ls"), "Bash"),
        (edit("a", "b", "c"), "mcp__files__edit_file"),
        (Step("call", tool="Glob"), "Glob"),
        (write("a", "b"), None),
    ],
)
def test_which_tool_does_it(step: Step, name: str | None) -> None:
    tools = [Function(name) for name in ("Glob", "Bash", "mcp__files__edit_file", "Read")]
    found = tool_for(step, tools)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("path", "here", "expected"),
    [
        ("a.txt", "/home/ada/x", "/home/ada/x/a.txt"),
        ("./a.txt", "/home/ada/x/", "/home/ada/x/a.txt"),
        ("/etc/a.txt", "/home/ada/x", "/etc/a.txt"),
        ("~/a.txt", "/home/ada/x", "~/a.txt"),
        ("C:/a.txt", "/home/ada/x", "C:/a.txt"),
        ("a.txt", "", "a.txt"),
    ],
)
def test_files_are_where_the_client_works(path: str, here: str, expected: str) -> None:
    schema: dict[str, Any] = {"properties": {"file_path": {"type": "string"}}}
    assert call_arguments(read(path), Function("Read", parameters=schema), "", here) == {"file_path": expected}
