"""Let ``python -m ragperso`` be the program ``ragperso``."""

from ragperso.cli import main

main()
