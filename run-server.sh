#!/bin/sh
# Sets everything up and serves; changes of .env and of the configuration file are taken over at once.
cd "$(dirname "$(readlink -f "$0")")" && make --silent install && exec .venv/bin/dragoman serve --reload "$@"
