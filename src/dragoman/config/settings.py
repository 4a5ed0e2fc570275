"""The one frozen configuration that every room is built from. Only `config` makes it, and reads the environment."""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from dragoman.dialects.contract import Target
from dragoman.providers import Form, Owner

Auth = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "entra", "google", "none"]
CALLER = "caller"
"""As `api_key`: calls are signed with what the caller sent."""

Seconds = Annotated[float, Meta(ge=0)]


class Hidden(str):
    """Text that may hold a secret: it is used as it is, but `repr`, of it and of what holds it, shows stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`server:` in dragoman.yaml."""

    host: str = "127.0.0.1"
    """Address to listen on. Off loopback a token is required; one is made when none is set."""

    port: Annotated[int, Meta(ge=0, le=65535)] = 8082
    """Port to listen on; 0 takes a free one."""

    workers: Annotated[int, Meta(ge=1)] = 1
    """Processes that serve. Each has its own connections."""

    auth_token: str = ""
    """What callers must send as `Authorization: Bearer`, `x-api-key` or `x-dragoman-token`. Empty on loopback: open."""

    open: bool = False
    """Lets everybody in without a token, on every address. Whoever reaches the gateway uses its keys: only for networks
    where that is meant. Every start warns. Goes not with a token."""

    endpoints: tuple[str, ...] | Literal["none"] = ()
    """Further hosts that callers may choose by the header `a2o-endpoint`, as `host` or `host:port`; those of the
    presets are allowed already. `http://` and addresses that are not public are for these only. `none` refuses the
    header. See docs/security.md."""

    open_after: Seconds = 15.0
    """Seconds of upstream silence after which a stream is opened with status 200 and pings."""

    ping_every: Seconds = 10.0
    """Seconds of silence between pings on an open stream."""

    connect_timeout: Seconds = 10.0
    """Seconds to connect to an upstream."""

    read_idle: Seconds = 600.0
    """Seconds without a byte from an upstream before it counts as dead."""

    body_limit: Annotated[int, Meta(ge=1)] = 64 * 1024 * 1024
    """Bytes of a request body, after decompression."""

    bytes_in_flight: Annotated[int, Meta(ge=1)] = 512 * 1024 * 1024
    """Bytes of undecoded request bodies in one process; beyond it callers get 529."""

    retries: Annotated[int, Meta(ge=0, le=10)] = 2
    """How often one target is tried again before anything was sent to the caller."""

    count_tokens: Literal["auto", "estimate", "upstream"] = "auto"
    """Who counts for `/v1/messages/count_tokens`: `estimate` is dragoman itself, within milliseconds; `upstream` asks
    the provider where it can count, and estimates where it cannot or fails; `auto` asks only providers that speak
    Messages themselves. Clients ask very often."""

    show_token: bool = False
    """Whether `GET /auth-token` tells the token to everybody. It always tells it to this machine, where no proxy is in
    between."""

    forward_to: str = ""
    """The provider that Anthropic's other endpoints go to: files, batches and skills. By default the first ready one
    that speaks Messages; `none` forwards nothing."""

    drain_delay: Seconds = 0.0
    """Seconds after the signal to stop during which everything is still taken and `/health/ready` says 503, so that
    load balancers look elsewhere first."""

    drain_timeout: Seconds = 20.0
    """Seconds that open requests then get to end; after them streams end with an `error` event, the others with 529."""

    write_idle: Annotated[float, Meta(gt=0)] = 300.0
    """Seconds that an answer waits for a caller who does not read; then the caller counts as gone."""

    concurrent: Annotated[int, Meta(ge=1)] = 2000
    """Requests for messages, files, batches and skills that one process works on at the same time."""

    queue: Annotated[int, Meta(ge=0)] = 1000
    """Requests that may wait for such a place, first come first served; beyond it callers get 529."""

    queue_timeout: Seconds = 30.0
    """Seconds that a request waits for a place at most; then it gets 529."""


class Logs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`logs:` in dragoman.yaml."""

    format: Literal["auto", "json", "human", "a2o"] = "auto"
    """`json`, `human`, or `auto`: human on a terminal, JSON elsewhere. `a2o`: JSON with the fields of an
    older proxy, see docs/migrating.md."""

    level: Literal["error", "info", "debug"] = "info"
    """`error`: only what failed with a status of 500 and over. `info`: a line for each request. `debug`: also a line
    for each attempt, and one for what was left out without any effect."""


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`providers.<name>:` in dragoman.yaml. With the name of a preset, everything has a value already."""

    preset: str | None = None
    """The preset that this provider is made of; by default the one of its own name. See docs/providers.md."""

    dialect: Literal["chat", "responses", "gemini", "anthropic"] | None = None
    """The language that all its models are asked in. `chat`: OpenAI Chat Completions; `responses`: OpenAI Responses;
    `gemini`: Google's generateContent; `anthropic`: Messages, passed on untranslated. By default what is known about
    each model, then what the preset usually speaks, then Chat Completions; a `base_url` that ends in `/v1/messages` or
    `/anthropic` says `anthropic`."""

    base_url: str | None = None
    """Where it is; `/chat/completions`, `/responses`, `/models/...` or `/v1/messages` is appended. Needed when there is
    no preset. On Azure the endpoint, in any form; on Vertex AI a host, or a whole address with project and location."""

    api_version: str | None = None
    """On Azure: a dated API version, for the older URLs; `v1` or nothing is the v1 API. See docs/azure.md."""

    project: str | None = None
    """On Vertex AI: the project that calls go to. By default $VERTEX_PROJECT, $GOOGLE_CLOUD_PROJECT, then the one that
    the credentials name. See docs/google.md."""

    location: str | None = None
    """On Vertex AI: `global`, a multi-region like `eu`, or a region like `europe-west4`. By default $VERTEX_LOCATION,
    $GOOGLE_CLOUD_LOCATION, $CLOUD_ML_REGION, then `global`. On Bedrock: a region. By default $AWS_REGION, then
    $AWS_DEFAULT_REGION."""

    credentials_file: str | None = None
    """With `auth: google`: the file of a service account, or of other credentials. By default
    $GOOGLE_APPLICATION_CREDENTIALS, then what `gcloud auth application-default login` left, then the machine's own."""

    deployments: dict[str, str] = {}
    """On Azure: name of a deployment -> the model that it is, e.g. `{my-gpt: gpt-5.5}`."""

    api_key: str | None = None
    """Its key, as `"${NAME}"`. A preset reads its own variable when this is not set. `caller`: what each caller sends
    as `x-api-key` or `authorization` is passed on, and no key is needed here; only where Messages is spoken, and for
    one host only. See docs/anthropic.md."""

    api_keys: tuple[str, ...] = ()
    """Several keys, as `["${ONE}", "${TWO}"]`, instead of `api_key`. Each conversation keeps to one of them; one that
    is limited or refused is left alone, and the others stand in. See docs/resilience.md."""

    connections: Annotated[int, Meta(ge=0)] = 0
    """How many connections to its host one process may have at the same time; 0 is no limit. Further requests wait for
    one, at most `server.queue_timeout`. Providers at the same host share them, by the larger number."""

    auth: Auth | None = None
    """How calls are signed: the key as `Authorization: Bearer`, or in a header of that name, or not at all; `entra`: by
    tokens of Microsoft Entra ID; `google`: by Google's Application Default Credentials."""

    entra: dict[str, Any] = {}
    """Who asks for tokens, with `auth: entra`. What is not said is read from Microsoft's own variables."""

    headers: dict[str, str] = {}
    """Further headers for every call. A key belongs into `api_key`."""

    quirks: dict[str, Any] = {}
    """How its server differs from others: quirks of its own language, and those of another one under that one's name,
    e.g. `responses: {...}`. See docs/quirks.md."""

    environment: tuple[str, ...] | None = None
    """Of `litellm`: names of the variables that its process gets, e.g. `[REPLICATE_API_KEY]`; it gets no other key. By
    default those that $LITELLM_ENVIRONMENT lists, with commas. See docs/litellm.md."""

    models: tuple[str, ...] = ()
    """Models that it offers: they are listed, and can be asked for without the provider's name."""

    big: str | None = None
    """Its model for opus, sonnet and other large families, when `models:` says nothing."""

    small: str | None = None
    """Its model for haiku, when `models:` says nothing."""

    facts: dict[str, dict[str, Any]] = {}
    """What is true of its models: pattern of the model's name -> facts."""

    title: str | None = None
    """Its name for people."""

    state_scope: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] | None = None
    """Providers with the same scope can read each other's reasoning state: set it when two are one deployment."""


class Entra(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`providers.<name>.entra:` in dragoman.yaml. https://learn.microsoft.com/entra/identity-platform/"""

    tenant_id: str | None = None
    """The tenant. By default $AZURE_TENANT_ID."""

    client_id: str | None = None
    """The application's client id, or that of a managed identity. By default $AZURE_CLIENT_ID."""

    client_secret: str | None = None
    """The application's secret, as `"${NAME}"`. By default $AZURE_CLIENT_SECRET, unless `client_id` stands here.
    Without one, the machine's managed identity signs, which needs the extra `azure`."""

    authority: str | None = None
    """Where tokens come from. By default $AZURE_AUTHORITY_HOST, else what belongs to the cloud of `base_url`."""

    scope: str | None = None
    """What tokens are for. By default what belongs to `base_url` on Azure; needed elsewhere."""


class Sidecar(Struct, frozen=True, kw_only=True):
    """The server that dragoman starts for a provider."""

    name: str
    folder: Path  # of its environment
    keys: tuple[tuple[str, str], ...]  # variables that it gets -> their names among the secrets
    variables: tuple[tuple[str, str], ...]  # others, that every program needs


class Provider(Struct, frozen=True, kw_only=True):
    """One provider, ready to make targets of."""

    name: str
    title: str  # for people
    ready: bool
    why: str  # why it is (not) ready, for people: "DEEPSEEK_API_KEY is set"
    big: str | None = None  # upstream model for opus, sonnet and the unknown
    small: str | None = None  # upstream model for haiku
    models: tuple[str, ...] = ()  # what it is known to offer
    documentation: str = ""
    preset: str | None = None  # the row that it was made of; facts about models are looked up by it
    claude: Form | None = None  # how it names the models of Claude, where it has them
    facts: tuple[tuple[str, dict[str, Any]], ...] = ()  # the user's own: pattern of a model's name -> fields of Facts
    facts_of: str | None = None  # the preset whose models these are, under names of the user's own
    base_models: dict[str, str] = {}  # such a name, in lower case -> the model that it is
    dialect: str | None = None  # the language that the user chose for all models
    settled: dict[str, tuple[str, ...]] = {}  # dialect -> quirks that the user set; facts do not change them
    identity: Owner | None = None  # who asks for tokens, where `template.auth` is "entra" or "google"
    sidecar: Sidecar | None = None  # the server that is started for it
    keys: tuple[str, ...] = ()  # names of all its keys, where it has several; `template.key` is the first one
    connections: int = 0  # that one process may have to it; 0: no limit
    where: str = ""  # for people: "project p, location global"
    template: Target  # with model ""; `providers.target` fills model and facts
    others: tuple[Target, ...] = ()  # the same in its other languages


Group = tuple[tuple[str, float], ...]
"""Names of destinations that share the work, with the weight of each."""


class Leads(Struct, frozen=True):
    """Where a name leads."""

    groups: tuple[Group, ...]  # tried in order
    overflow: tuple[Group, ...] = ()  # instead, when a conversation is too long for the others

    @classmethod
    def to(cls, *names: str) -> "Leads":
        """One destination after the other."""
        return cls(tuple(((name, 1.0),) for name in names))

    @property
    def names(self) -> tuple[str, ...]:
        """Every destination."""
        return tuple(name for group in (*self.groups, *self.overflow) for name, _ in group)

    def __bool__(self) -> bool:
        return bool(self.groups)

    def __str__(self) -> str:
        """For people: "a, then b and c (2:1)"."""
        return ", then ".join(map(_told, self.groups))


def _told(group: Group) -> str:
    names = " and ".join(name for name, _ in group)
    return names if len(group) == 1 else f"{names} ({':'.join(f'{weight:g}' for _, weight in group)})"


class Config(Struct, frozen=True, kw_only=True):
    """Everything that was configured, checked."""

    server: Server = Server()
    logs: Logs = Logs()
    providers: dict[str, Provider] = {}  # in the order of the configuration
    models: tuple[tuple[str, Leads], ...] = ()  # name or pattern -> where it leads, in file order
    thinker: Leads = Leads(())  # where requests lead that want thinking; nowhere: where their name does
    strict: bool = False  # a `lost` note becomes a 400
    demo: bool = False  # no provider is configured: the demo upstream serves
    sources: tuple[str, ...] = ()  # what was read, for `doctor`, weakest first: files, then "environment"
    proxies: dict[str, str] = {}  # scheme -> proxy URL, from the environment
    no_proxy: tuple[str, ...] = ()

    @property
    def identities(self) -> dict[str, Owner]:
        """Provider -> who asks for its tokens, for `providers.Credentials`."""
        return {name: each.identity for name, each in self.providers.items() if each.identity is not None}


class Secrets:
    """Keys by name. Never printed: `repr` and `str` show names only."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def values(self) -> tuple[str, ...]:
        """All keys, for redaction only."""
        return tuple(self._values.values())

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._values))})"
