"""A LiteLLM proxy's `config.yaml` -> the same in dragoman.yaml's form. https://docs.litellm.ai/docs/proxy/configs

What is taken: `model_list` with `litellm_params`, `general_settings.master_key`, and fallbacks. What is not is told, by
name. Rows of one name share the work: https://docs.litellm.ai/docs/proxy/load_balancing
A row of a provider that has no way of its own here goes to LiteLLM beside dragoman.
"""

import re
from typing import Annotated, Any

from msgspec import Meta

from dragoman.config.addresses import trimmed
from dragoman.config.document import Node
from dragoman.config.fields import NOTHING, Sheet
from dragoman.config.predecessors import tree
from dragoman.providers import presets

MARK = "model_list"
_WEIGHTS = ("weight", "rpm", "tpm")  # of a row among those of its name, strongest first
_OWN = ("model", "custom_llm_provider", "api_base", "api_key", "api_version", *_WEIGHTS)
_FALLBACKS = ("fallbacks", "context_window_fallbacks")
_VARIABLE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")
_PUNCTUATION = re.compile(r"[^A-Za-z0-9]+")
_OPENAI = frozenset({"openai", "custom_openai", "openai_like", "text-completion-openai"})
_PRESETS = {  # LiteLLM's name of a provider -> ours, where it is another one
    "ai21_chat": "ai21", "azure_ai": "foundry", "dashscope": "dashscope", "fireworks_ai": "fireworks",
    "hosted_vllm": "vllm", "lm_studio": "lmstudio", "ollama_chat": "ollama", "together_ai": "together",
    "litellm_proxy": "litellm-proxy", "vercel_ai_gateway": "vercel", "vertex_ai": "vertex",
}  # fmt: skip
_BESIDE = "litellm"  # the preset of LiteLLM beside dragoman


def translated(sheet: Sheet, root: Node) -> tuple[Node, tuple[str, ...]]:
    """`root` in our form, and the names of what was left out; as it is when it is no file of LiteLLM's."""
    if not isinstance(root.value, dict) or MARK not in root.value:
        return root, ()
    reader = _Reader(sheet)
    sections = root.value
    rows = sections[MARK].value
    if not isinstance(rows, list):
        sheet.refuse(sections[MARK], MARK, f"expected a list, found {sections[MARK].kind}.")
        rows = []
    for number, row in enumerate(rows):
        reader.row(row, f"{MARK}[{number}]")
    found = {"providers": Node(sections[MARK].line, reader.providers)}
    for name, node in sections.items():
        if name == "general_settings":
            found |= reader.general(node)
        elif name in ("router_settings", "litellm_settings"):
            reader.fallbacks(node, name)
        elif name != MARK:
            reader.unused.append(name)
    found["models"] = Node(sections[MARK].line, reader.models())
    return Node(root.line, found), tuple(dict.fromkeys(reader.unused))


class _Reader:
    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._places: dict[str, tuple[Node, dict[str, float]]] = {}  # model_name -> its first line, and destinations
        self._after: dict[str, dict[str, list[str]]] = {kind: {} for kind in _FALLBACKS}  # model_name -> others
        self._made: dict[tuple[object, ...], str] = {}  # what makes a provider -> its name
        self._asked: list[str] = []  # variables that LiteLLM beside dragoman needs
        self.providers: dict[str, Node] = {}
        self.unused: list[str] = []

    def models(self) -> dict[str, Node]:
        return {name: Node(node.line, tree(self._value(name)).value) for name, (node, _) in self._places.items()}

    def _value(self, name: str) -> Any:
        """The destinations of a name, in our form. Names that stand in lead where they do on their own."""
        behind, longer = ([self._shared(each) for each in self._after[kind].get(name, ())] for kind in _FALLBACKS)
        targets = [self._shared(name), *behind]
        return {"targets": targets, "overflow": longer} if longer else targets

    def _shared(self, name: str) -> Any:
        places = self._places[name][1]
        return places if len(places) > 1 else next(iter(places))

    def fallbacks(self, node: Node, path: str) -> None:
        """`fallbacks: [{name: [others]}]` of `router_settings`, or of `litellm_settings`."""
        for name, child in self._sheet.mapping(node, path).items():
            if name not in _FALLBACKS:
                self.unused.append(f"{path}.{name}")
                continue
            rows = self._sheet.value(child, list[dict[str, list[str]]], f"{path}.{name}")
            for asked, others in ((key, row[key]) for row in ([] if rows is NOTHING else rows) for key in row):
                if asked in self._places:
                    known = [each for each in others if each in self._places and each != asked]
                    self._after[name].setdefault(asked, []).extend(known)
                    self.unused += [f"{path}.{name}: {each[:60]}" for each in others if each not in self._places]
                else:
                    self.unused.append(f"{path}.{name}: {asked[:60]}")

    def general(self, node: Node) -> dict[str, Node]:
        """`general_settings`: the key that callers present."""
        fields = self._sheet.mapping(node, "general_settings")
        self.unused += [f"general_settings.{name}" for name in fields if name != "master_key"]
        key = fields.get("master_key")
        if key is None or key.value is None:
            return {}
        return {"server": Node(node.line, {"auth_token": _reference(key)})}

    def row(self, node: Node, path: str) -> None:
        """One item of `model_list`."""
        fields = self._sheet.mapping(node, path)
        name, inner = fields.get("model_name"), fields.get("litellm_params")
        params = self._sheet.mapping(inner, f"{path}.litellm_params") if inner is not None else {}
        model = params.get("model")
        if name is None or model is None or not isinstance(name.value, str) or not isinstance(model.value, str):
            self._sheet.refuse(node, path, "needs `model_name`, and `model` under `litellm_params`, both texts.")
            return
        self.unused += [f"{MARK}.{each}" for each in fields if each not in ("model_name", "litellm_params")]
        place = self._provider(node, path, params, model.value)
        more = [each for each in params if each not in _OWN]
        if place is not None and place.startswith(f"{_BESIDE}/"):
            more = [each for each in more if not _variable(params[each])]
        self.unused += [f"litellm_params.{each}" for each in more]
        if place is not None:
            places = self._places.setdefault(name.value, (name, {}))[1]
            places[place] = places.get(place, 0.0) + self._weight(params, f"{path}.litellm_params")

    def _weight(self, params: dict[str, Node], path: str) -> float:
        for name in _WEIGHTS:
            if name in params and params[name].value is not None:
                found = self._sheet.value(params[name], Annotated[float, Meta(gt=0)], f"{path}.{name}")
                return 1.0 if found is NOTHING else float(found)
        return 1.0

    def _provider(self, node: Node, path: str, params: dict[str, Node], model: str) -> str | None:
        """`provider/model` for a row; the provider is made when it is new."""
        said = params.get("custom_llm_provider")
        vendor, slash, rest = model.partition("/")
        if said is not None and isinstance(said.value, str):
            rest = rest if slash and vendor == said.value else model
            vendor = said.value
        elif not slash:
            vendor, rest = "openai", model
        base = params.get("api_base")
        url = trimmed(base.value) if base is not None and isinstance(base.value, str) else ""
        preset: str | None = _PRESETS.get(vendor, vendor)
        if preset in _OPENAI:
            preset = _at(url) if url else "openai"
        elif preset not in presets() or preset == _BESIDE:
            if not url:
                return self._beside(node, path, params, f"{vendor}/{rest}")
            preset = _at(url)
        fields: dict[str, Node] = {} if preset is None else {"preset": Node(node.line, preset)}
        for ours, theirs in (("base_url", "api_base"), ("api_key", "api_key"), ("api_version", "api_version")):
            value = params.get(theirs)
            if value is not None and value.value is not None:
                fields[ours] = _reference(value)
        key = tuple((field, str(value.value)) for field, value in fields.items())
        if key not in self._made:
            self._made[key] = self._name(preset or _PUNCTUATION.sub("-", _host(url)).strip("-") or "server")
            self.providers[self._made[key]] = Node(node.line, fields)
        return f"{self._made[key]}/{rest}"

    def _beside(self, node: Node, path: str, params: dict[str, Node], model: str) -> str | None:
        """`litellm/provider/model`: LiteLLM itself is asked, with the variables that the row names."""
        key = params.get("api_key")
        if key is not None and key.value is not None and not _variable(key):
            text = "for LiteLLM the key must be in the variable that it knows: write `os.environ/NAME`."
            self._sheet.refuse(node, f"{path}.litellm_params.api_key", text)
            return None
        self._asked += filter(None, map(_variable, params.values()))
        # One process serves all rows: a key that is not there must not keep it from those that have theirs.
        there = [name for name in self._asked if self._sheet.variables.get(name)] or self._asked
        environment = tree(list(dict.fromkeys(there)))
        self.providers[_BESIDE] = Node(node.line, {"environment": Node(node.line, environment.value)})
        return f"{_BESIDE}/{model.removeprefix(f'{_BESIDE}/')}"

    def _name(self, wanted: str) -> str:
        count = sum(name == wanted or name.startswith(f"{wanted}-") for name in self.providers)
        return f"{wanted}-{count + 1}" if count else wanted


def _reference(node: Node) -> Node:
    """`os.environ/NAME` as `${NAME:-}`: without the variable there is no key, and that is told where it matters."""
    name = _variable(node)
    return node if name is None else Node(node.line, f"${{{name}:-}}")


def _variable(node: Node) -> str | None:
    """The name in `os.environ/NAME`; None for anything else."""
    found = _VARIABLE.fullmatch(node.value) if isinstance(node.value, str) else None
    return None if found is None else found[1]


def _at(url: str) -> str | None:
    """The preset at this address, which knows how the server differs; None for a server of one's own."""
    host = _host(url)
    hosted = ((name, _host(preset.base_url)) for name, preset in presets().items() if not preset.local)
    return next((name for name, known in hosted if known and known == host), None)


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]
