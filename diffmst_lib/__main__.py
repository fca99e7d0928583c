"""`python -m diffmst_lib`: the command."""

import sys

from .command.main import main

if __name__ == "__main__":  # not when a tool walks through the modules
    sys.exit(main())
