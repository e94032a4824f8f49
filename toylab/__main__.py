"""`python -m toylab` is `toylab`."""

from toylab.cli import main

main()
