# The gateway in a container: docs/operations.md. Nothing in here depends on the kind of processor, so
# `docker buildx build --platform linux/amd64,linux/arm64 .` works wherever the lock has wheels.
FROM python:3.13.9-slim-bookworm AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/dragoman UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN python -m pip install --quiet --no-cache-dir --disable-pip-version-check uv==0.13.8
WORKDIR /source
# First what changes seldom: the packages of the lock, held to its hashes.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --all-extras --no-install-project --no-cache
COPY README.md LICENSE ./
COPY src src
RUN uv sync --locked --no-dev --all-extras --no-editable --no-cache

FROM python:3.13.9-slim-bookworm
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/dragoman --create-home dragoman
COPY --from=build /opt/dragoman /opt/dragoman
ENV PATH=/opt/dragoman/bin:$PATH HOME=/var/lib/dragoman XDG_STATE_HOME=/var/lib/dragoman/state \
    DRAGOMAN_HOST=0.0.0.0 DRAGOMAN_PORT=4000 PYTHONUNBUFFERED=1
# dragoman.yaml and .env are read from here, when they are mounted.
WORKDIR /etc/dragoman
USER 10001:10001
# 4000 unless DRAGOMAN_PORT says another one, such as 8082, which it is without a container.
EXPOSE 4000 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['DRAGOMAN_PORT']), timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["dragoman"]
CMD ["serve"]
