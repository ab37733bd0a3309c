"""`python -m soundstage`."""

import sys

# Before anything else is imported: `-m` puts the current folder first, which may hold a file of any
# name. It stays where we are installed there ourselves.
if not sys.flags.safe_path and not __file__.startswith(f"{sys.path[0]}/soundstage"):
    del sys.path[0]

from soundstage.cli import main

if __name__ == "__main__":
    sys.exit(main())
