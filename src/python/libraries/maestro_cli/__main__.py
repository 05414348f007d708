"""`python -m maestro_cli`: the same as the console script."""

import sys

from maestro_cli._main import main

if __name__ == "__main__":
    sys.exit(main())
