"""`python -m streamml`."""

from streamml.cli import main

main()
