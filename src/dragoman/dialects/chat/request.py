"""Messages -> one call in the language of OpenAI Chat Completions.

Specification: https://platform.openai.com/docs/api-reference/chat/create. Nearly every server has it, each in its own
way: the ways are `quirks.Quirks`, what a model can do is `contract.Facts`. The system prompt and the turns are in
`turns.py`, tools in `tools.py` and `schema.py`, thinking in `reasoning.py`, all other knobs in `knobs.py`.

What this language cannot carry, and what happens instead:

- signed thinking: earlier reasoning goes back only where the server has a field for it, and only to the deployment that
  made it; all other thinking blocks are dropped
- pictures and files inside tool results: they follow in the next user message, with a marker where they were
- `is_error`: the result begins with "Error: "
- citations, and the switch that asks for them: left out
- pictures for a model without vision: a marker; pictures of the Files API: 400 that names the block
- PDF documents, where the server has no `file` parts, and documents of the Files API: 400 that names the block; in
  turns that were answered before, a marker
- system turns in the middle, where the server allows one system message: `<system-reminder>` text of the user turn
- an answer that the caller began (prefill), where the server cannot continue it: an instruction to continue
- tools that Anthropic runs (web fetch, code execution, tool search, toolsets, MCP servers): left out, or 400 if nothing
  is left; web search only where the server has its own
- unions at the top of a tool's schema: widened to one object with all their properties
- stop sequences: matched on the answer by us, since servers do not say which one matched
- budgets of thinking tokens, where the server knows efforts: an effort
- cache breakpoints, where the server has none: left out; caching is then the server's own
- containers, MCP servers, threads that Anthropic keeps, compaction: 400 that names the field
- context management, fallbacks, safeguards, tags, speed, inference geography and the like: left out with a note
"""

from dragoman.dialects.alike import thinks_unasked, would_think
from dragoman.dialects.chat import knobs, reasoning, tools, turns
from dragoman.dialects.chat.body import ChatBody
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Call, Recall, Target, streams
from dragoman.messages import fields
from dragoman.messages.body import Body
from dragoman.messages.effort import Wish, wish
from dragoman.messages.estimate import Estimate
from dragoman.messages.names import Names, no_names
from dragoman.messages.notes import Note
from dragoman.messages.offer import offer
from dragoman.messages.request import Request


def call(request: Request, target: Target) -> Call:
    """Translate `request` for `target`, whose quirks are `quirks.Quirks`.

    Raises ApiError("invalid_request") for what cannot be sent at all, naming the field or block; for a strict target
    also for everything that would be lost.
    """
    body = request.body
    quirks: Quirks = target.quirks
    notes = list(request.notes)
    fields.check(body, notes)
    output_tool: str | None = None
    if fields.wants_words(body):
        names = no_names(quirks.tool_name_limit)
        written = turns.write(body, target, names, notes)
        chat = ChatBody(target.model, written.messages)
        thinks = thinks_unasked(target)
    else:
        chat, written, names, output_tool, thinks = _demanding(body, target, notes)
    estimate = Estimate(body, len(request.raw))
    knobs.limit(chat, body, target, estimate, notes)
    if body.temperature is not None or body.top_p is not None or body.top_k is not None:
        knobs.sample(chat, body, target, notes, thinks=thinks)
    stop_sequences = knobs.stop(chat, body, quirks, notes) if body.stop_sequences else ()
    headers = (("content-type", "application/json"), *target.headers)
    if request.session or body.metadata is not None or body.service_tier is not None:
        session = knobs.identify(chat, body, request.session, quirks, notes)
        if quirks.session_header and session:
            headers += ((quirks.session_header, session),)
    if written.continued:
        chat.continue_final_message = True
        chat.add_generation_prompt = False
    stream = streams(body, quirks.transport, stop_sequences)
    if stream:
        chat.stream = True
        if quirks.stream_usage == "ask":
            chat.stream_options = {"include_usage": True}

    unique = tuple(dict.fromkeys(notes)) if notes else ()
    if target.strict:
        fields.refuse_losses(unique)
    return Call(
        url=target.base_url + quirks.chat_path + ("?" + target.query if target.query else ""),
        body=knobs.encode(chat, quirks),
        stream=stream,
        target=target,
        recall=Recall.of(
            body,
            target,
            stop_sequences=stop_sequences,
            names=names,
            ids=written.ids,
            estimate=estimate,
            output_tool=output_tool,
        ),
        headers=headers,
        notes=unique,
    )


def _demanding(
    body: Body, target: Target, notes: list[Note]
) -> tuple[ChatBody, turns.Written, Names, str | None, bool]:
    """The body with its conversation, tools, thinking and form of the answer; what of it is needed further.

    That is: the conversation, the names of the tools, the upstream's name of the tool that asks for the form, and
    whether the model will think.
    """
    quirks: Quirks = target.quirks
    offered = offer(body, tools.means(target), notes)
    output = knobs.output(body, target, offered.tools, notes)
    if output.tool is not None:
        offered.tools.append(output.tool)
    names = offered.names(body, limit=quirks.tool_name_limit)
    written = turns.write(body, target, names, notes, instruction=output.instruction)

    chat = ChatBody(
        target.model, written.messages, tools.functions(offered, names, quirks), response_format=output.format
    )
    asked = _asked(body, target, forces=output.tool is not None, notes=notes)
    thinks = reasoning.write(chat, asked, target, notes, has_tools=bool(chat.tools))
    tools.choose(chat, body.tool_choice, target, names, notes, thinks=thinks)
    output_tool: str | None = None
    if output.tool is not None:
        output_tool = names.out(output.tool.name)
        alone = len(chat.tools or ()) == 1 or (body.tool_choice is not None and body.tool_choice.type == "none")
        tools.force_call(chat, output_tool if alone else None, quirks, notes, thinks=thinks)
    if offered.search is not None:
        tools.search(chat, offered.search, quirks, notes)
    return chat, written, names, output_tool, thinks


def _asked(body: Body, target: Target, *, forces: bool, notes: list[Note]) -> Wish:
    """What the caller asks of thinking. A call that must be made wins over thinking, where they exclude each other."""
    quirks: Quirks = target.quirks
    asked = wish(body, notes)
    forced = forces or (body.tools and body.tool_choice is not None and body.tool_choice.type in ("any", "tool"))
    if not forced or quirks.tool_choice_with_thinking or asked.thinking == "off":
        return asked
    if not would_think(asked, target) or not reasoning.can_be_off(target):
        return asked
    notes.append(Note("changed", "thinking.off_for_tool_choice", "thinking"))
    return Wish("off", None, None)
