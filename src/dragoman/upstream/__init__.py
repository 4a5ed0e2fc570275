"""HTTP to upstreams: the only room that imports an HTTP client."""
