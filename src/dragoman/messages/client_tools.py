"""Tools that Anthropic defined and the caller runs (bash, text editor, memory, computer), written down as functions.

A Messages request names them by a dated type and gives no schema: Claude was trained on it. Other models need to be
told. The descriptions are our own words. Parameters:
https://platform.claude.com/docs/en/agents-and-tools/tool-use/bash-tool and its sisters text-editor-tool, memory-tool
and computer-use-tool.
"""

from msgspec import Raw, Struct

from dragoman.messages.body import Tool


class ClientTool(Struct, frozen=True):
    """What a function needs: the caller's or the documented name, a description, and a schema as raw JSON."""

    name: str
    description: str
    schema: Raw


_BASH = Raw(
    b'{"type":"object","properties":{'
    b'"command":{"type":"string","description":"The command to run. Required unless restart is true."},'
    b'"restart":{"type":"boolean","description":"true restarts the shell; leave it out otherwise."}}}'
)

_PATH = b'"path":{"type":"string","description":"Absolute path of a file or a folder."}'
_VIEW_RANGE = (
    b'"view_range":{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2,'
    b'"description":"For view of a file: first and last line, counted from 1; -1 as last means to the end."}'
)
_FILE_TEXT = b'"file_text":{"type":"string","description":"For create: the whole content of the file."}'
_OLD_STR = (
    b'"old_str":{"type":"string","description":"For str_replace: the text to replace. It must match exactly, '
    b'white space included, and occur once."}'
)
_INSERT_LINE = (
    b'"insert_line":{"type":"integer","description":"For insert: the line after which the text goes; 0 is the start."}'
)
_INSERT_TEXT = b'"insert_text":{"type":"string","description":"For insert: the text to insert."}'

_EDITOR_WITH_UNDO = Raw(
    b'{"type":"object","properties":{'
    b'"command":{"type":"string","enum":["view","create","str_replace","insert","undo_edit"],'
    b'"description":"What to do."},'
    + b",".join((_PATH, _VIEW_RANGE, _FILE_TEXT, _OLD_STR))
    + b',"new_str":{"type":"string","description":"For str_replace: the new text. For insert: the text to insert."},'
    + _INSERT_LINE
    + b'},"required":["command","path"]}'
)

# The page of the tool said `new_str` for insert, the models write `insert_text`:
# https://github.com/anthropics/anthropic-sdk-python/issues/1155
_EDITOR = Raw(
    b'{"type":"object","properties":{'
    b'"command":{"type":"string","enum":["view","create","str_replace","insert"],"description":"What to do."},'
    + b",".join((_PATH, _VIEW_RANGE, _FILE_TEXT, _OLD_STR))
    + b',"new_str":{"type":"string","description":"For str_replace: the new text."},'
    + _INSERT_LINE
    + b","
    + _INSERT_TEXT
    + b'},"required":["command","path"]}'
)

_MEMORY = Raw(
    b'{"type":"object","properties":{'
    b'"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"],'
    b'"description":"What to do."},'
    b'"path":{"type":"string","description":"Path under /memories. For every command but rename."},'
    + b",".join((_VIEW_RANGE, _FILE_TEXT, _OLD_STR))
    + b',"new_str":{"type":"string","description":"For str_replace: the new text."},'
    + _INSERT_LINE
    + b","
    + _INSERT_TEXT
    + b',"old_path":{"type":"string","description":"For rename: the present path."},'
    b'"new_path":{"type":"string","description":"For rename: the new path."}},"required":["command"]}'
)

_POINT = b'{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2,"description":'
_COORDINATE = b'"coordinate":' + _POINT + b'"[x, y] in pixels from the upper left corner."}'
_TEXT = (
    b'"text":{"type":"string","description":"For type: the text. For key and hold_key: the key or combination, as in '
    b'ctrl+s. For clicks and scroll: keys to hold meanwhile."}'
)

_COMPUTER_2024 = Raw(
    b'{"type":"object","properties":{"action":{"type":"string","enum":["key","type","mouse_move","left_click",'
    b'"left_click_drag","right_click","middle_click","double_click","screenshot","cursor_position"],'
    b'"description":"What to do."},' + _COORDINATE + b"," + _TEXT + b'},"required":["action"]}'
)

_ACTIONS_2025 = (
    b'"key","hold_key","type","cursor_position","mouse_move","left_mouse_down","left_mouse_up","left_click",'
    b'"left_click_drag","right_click","middle_click","double_click","triple_click","scroll","wait","screenshot"'
)
_PROPERTIES_2025 = (
    b'"description":"What to do."},'
    + _COORDINATE
    + b',"start_coordinate":'
    + _POINT
    + b'"For left_click_drag: where it begins."},'
    b'"scroll_direction":{"type":"string","enum":["up","down","left","right"],"description":"For scroll."},'
    b'"scroll_amount":{"type":"integer","description":"For scroll: clicks of the wheel."},'
    b'"duration":{"type":"number","description":"For hold_key and wait: seconds."},' + _TEXT
)
_COMPUTER_2025 = Raw(
    b'{"type":"object","properties":{"action":{"type":"string","enum":['
    + _ACTIONS_2025
    + b"],"
    + _PROPERTIES_2025
    + b'},"required":["action"]}'
)
_COMPUTER_ZOOM = Raw(
    b'{"type":"object","properties":{"action":{"type":"string","enum":['
    + _ACTIONS_2025
    + b',"zoom"],'
    + _PROPERTIES_2025
    + b',"region":{"type":"array","items":{"type":"integer"},"minItems":4,"maxItems":4,'
    b'"description":"For zoom: [x0, y0, x1, y1], upper left and lower right corner."}},"required":["action"]}'
)

_BASH_WORDS = "Runs a command in a bash shell that keeps its state between calls, and returns what it prints."
_EDITOR_WORDS = (
    "Views, creates and edits text files. view shows a file with line numbers, or lists a folder; create writes a new "
    "file; str_replace replaces one exact piece of text; insert adds text after a line."
)
_MEMORY_WORDS = (
    "Keeps notes in files under /memories, which stay between conversations. Look there before you start a task, "
    "and write down what will be useful later."
)
_COMPUTER_WORDS = (
    "Works a computer by screen, mouse and keyboard. Take a screenshot to see the screen; act on coordinates that you "
    "saw; take another to check the outcome."
)


def client_tool(tool: Tool) -> ClientTool | None:
    """`tool` as a function, or None when it is not one that the caller runs.

    A version newer than we know gets the newest schema that we know.
    """
    family, _, version = (tool.type or "").rpartition("_")
    match family:
        case "bash":
            return ClientTool(tool.name or "bash", _BASH_WORDS, _BASH)
        case "text_editor" if version < "20250429":
            words = f"{_EDITOR_WORDS} undo_edit takes the last edit back."
            return ClientTool(tool.name or "str_replace_editor", words, _EDITOR_WITH_UNDO)
        case "text_editor":
            words = _EDITOR_WORDS
            if tool.max_characters is not None:
                words += f" view shows at most {tool.max_characters} characters."
            return ClientTool(tool.name or "str_replace_based_edit_tool", words, _EDITOR)
        case "memory":
            return ClientTool(tool.name or "memory", _MEMORY_WORDS, _MEMORY)
        case "computer":
            return ClientTool(tool.name or "computer", _COMPUTER_WORDS + _screen(tool), _computer(tool, version))
        case _:
            return None


def _computer(tool: Tool, version: str) -> Raw:
    if version < "20250124":
        return _COMPUTER_2024
    return _COMPUTER_ZOOM if tool.enable_zoom else _COMPUTER_2025


def _screen(tool: Tool) -> str:
    words = ""
    if tool.display_width_px is not None and tool.display_height_px is not None:
        words = f" The screen is {tool.display_width_px} pixels wide and {tool.display_height_px} high."
    if tool.display_number is not None:
        words += f" It is display :{tool.display_number}."
    return words
