"""`python -m dragoman`: the same as the `dragoman` command."""

from dragoman.cli.main import main

main()
