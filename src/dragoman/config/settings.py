"""The one frozen configuration that every room is built from. Only `config` makes it; nobody else reads the environment."""

from msgspec import Struct

from dragoman.dialects.contract import Target


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`server:` in dragoman.yaml."""

    host: str = "127.0.0.1"
    """Address to listen on. Off loopback a token is required; one is made when none is set."""

    port: int = 8082
    """Port to listen on."""

    workers: int = 1
    """Processes that serve. Each has its own connections."""

    auth_token: str = ""
    """What callers must send as `Authorization: Bearer`, `x-api-key` or `x-dragoman-token`. Empty on loopback: open."""

    open_after: float = 15.0
    """Seconds of upstream silence after which a stream is opened with status 200 and pings."""

    ping_every: float = 10.0
    """Seconds of silence between pings on an open stream."""

    connect_timeout: float = 10.0
    """Seconds to connect to an upstream."""

    read_idle: float = 600.0
    """Seconds without a byte from an upstream before it counts as dead."""

    body_limit: int = 64 * 1024 * 1024
    """Bytes of a request body, after decompression."""

    bytes_in_flight: int = 512 * 1024 * 1024
    """Bytes of undecoded request bodies in one process; beyond it callers get 529."""

    retries: int = 2
    """How often one target is tried again before anything was sent to the caller."""

    fetch_models: bool = False
    """Whether `GET /v1/models` also lists what active providers list. Off: only what the configuration names."""


class Logs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`logs:` in dragoman.yaml."""

    format: str = "auto"
    """`json`, `human`, or `auto`: human on a terminal, JSON elsewhere."""

    level: str = "info"
    """`error`, `info` or `debug`."""


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
    template: Target  # with model "" ; `providers.target` fills model and facts


class Config(Struct, frozen=True, kw_only=True):
    server: Server = Server()
    logs: Logs = Logs()
    providers: dict[str, Provider] = {}  # in the order of the configuration
    models: tuple[tuple[str, tuple[str, ...]], ...] = ()  # name or pattern -> ordered destinations, in file order
    strict: bool = False
    demo: bool = False  # no provider is configured: the demo upstream serves
    sources: tuple[str, ...] = ()  # what was read, for `doctor`, weakest first
    proxies: dict[str, str] = {}  # scheme -> proxy URL, from the environment
    no_proxy: tuple[str, ...] = ()


class Secrets:
    """Keys by name. Never printed: `repr` and `str` show names only."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._values))})"
