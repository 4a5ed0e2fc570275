"""The simulated model: what it answers to a conversation. It says in every answer that it is simulated."""

import json
import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from dragoman.demo.arguments import fill, invent
from dragoman.demo.plan import Step, call_arguments, rounds, tool_for
from dragoman.demo.wire import ChatRequest, Function, Message

LABEL = "This is dragoman's simulated demo model, not a real one."
MODELS = ("echo", "think", "tools")

_REMINDER = re.compile(r"<system-reminder>.*?(?:</system-reminder>|\Z)", re.DOTALL)
_FOLDER = re.compile(r"working directory:\s*`?([^\n`]+?)`?\s*(?:\n|$)", re.IGNORECASE)
_QUOTE = 2000  # characters of the request that are echoed
_RESULT = 300  # characters of a result that are told


class Calling(Struct, frozen=True):
    name: str
    arguments: str  # JSON


class Reply(Struct, frozen=True):
    """What the model says, in this order."""

    thinking: str = ""
    text: str = ""
    calls: list[Calling] = []


def reply(request: ChatRequest) -> Reply:
    """The answer to a conversation; the same for the same one."""
    place = _task(request.messages)
    task = _asked(request.messages[place]) if place is not None else ""
    after = request.messages[place + 1 :] if place is not None else []
    tools = [] if request.tool_choice == "none" else [tool.function for tool in request.tools or ()]
    calls, steps, done = _next_calls(request, task, after, tools)
    if calls:
        names = ", ".join(dict.fromkeys(call.name for call in calls))
        answer = Reply(text=f"{LABEL} I call {names}.", calls=calls)
    elif request.response_format and request.response_format.get("type") in ("json_schema", "json_object"):
        answer = Reply(text=_structured(request.response_format, task))
    elif done:
        answer = Reply(text=_report(after, steps, tools))
    else:
        answer = Reply(text=_echo(request.messages[place] if place is not None else None, task, steps))
    if request.model.rpartition("/")[2] == "think" and request.reasoning_effort != "none":
        thought = f"(Simulated thinking.) I was asked: {task[:200]!r}. "
        plan = "I call what was asked for." if calls else "There is nothing left to call, so I answer."
        answer = Reply(thought + plan, answer.text, answer.calls)
    return answer


def _next_calls(
    request: ChatRequest, task: str, after: Sequence[Message], tools: list[Function]
) -> tuple[list[Calling], list[list[Step]], int]:
    """The calls of this turn, what the request asks for in all, and how many rounds are over."""
    done = sum(bool(message.tool_calls) for message in after)
    planned = rounds(task, tools) if tools else []
    here = _folder(request.messages)
    able = [turn for turn in planned if any(tool_for(step, tools) for step in turn)]
    forced = _forced(request.tool_choice, tools)
    if forced is None and done < len(able):
        found = [(step, tool) for step in able[done] if (tool := tool_for(step, tools))]
        return [_calling(tool, call_arguments(step, tool, task, here)) for step, tool in found], planned, done
    if forced is not None:
        step = next((step for turn in able for step in turn if tool_for(step, forced)), None)
        tool = (tool_for(step, forced) if step else None) or forced[0]
        filled = call_arguments(step, tool, task, here) if step else fill(tool.parameters, {}, task)
        return [_calling(tool, filled)], planned, done
    return [], planned, done


def _forced(choice: str | dict[str, Any] | None, tools: list[Function]) -> list[Function] | None:
    """The tools of which one must be called."""
    if choice == "required":
        return tools or None
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        return [tool for tool in tools if tool.name == name] or None
    return None


def _calling(tool: Function, values: dict[str, Any]) -> Calling:
    return Calling(tool.name, json.dumps(values, ensure_ascii=False))


def _task(messages: Sequence[Message]) -> int | None:
    """Where the user last asked for something: reminders of the client around it are not the user's words."""
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if message.role == "user" and (_asked(message) or message.images):
            return place
    return None


def _asked(message: Message) -> str:
    return _REMINDER.sub("", message.text).strip()


def _folder(messages: Sequence[Message]) -> str:
    """Where the client works, if it says so."""
    found = [folder for message in messages if message.role != "tool" for folder in _FOLDER.findall(message.text)]
    return found[-1] if found else ""


def _echo(message: Message | None, task: str, planned: list[list[Step]]) -> str:
    if message is None:
        return f"{LABEL} You said nothing yet."
    parts = [LABEL]
    if message.images:
        parts.append(f"You sent {message.images} image(s), which I cannot see.")
    if task:
        parts.append(f"You said: {task[:_QUOTE]}")
    if planned:
        wanted = ", ".join(dict.fromkeys(step.tool or step.action for turn in planned for step in turn))
        parts.append(f"(No tool was offered for: {wanted}.)")
    return " ".join(parts)


def _report(after: Sequence[Message], planned: list[list[Step]], tools: list[Function]) -> str:
    """What the tools gave."""
    called = {call.id: call.function for message in after for call in message.tool_calls or ()}
    lines = [f"{LABEL} The work is done:"]
    for message in after:
        if message.role != "tool":
            continue
        function = called.get(message.tool_call_id or "")
        name = f"{function.name}({function.arguments[:_RESULT]})" if function else "A tool"
        text = _REMINDER.sub("", message.text).strip() or "nothing"
        lines.append(f"- {name} gave: {text[:_RESULT]}" + ("..." if len(text) > _RESULT else ""))
    missing = dict.fromkeys(step.tool or step.action for turn in planned for step in turn if not tool_for(step, tools))
    if missing and tools:
        lines.append(f"- No tool was offered for: {', '.join(missing)}.")
    return "\n".join(lines)


def _structured(form: dict[str, Any], task: str) -> str:
    schema = (form.get("json_schema") or {}).get("schema")
    about = f"Simulated: {task[:60]}"
    value = invent(schema, about) if isinstance(schema, dict) else {"simulated": True, "answer": about}
    return json.dumps(value, ensure_ascii=False)
