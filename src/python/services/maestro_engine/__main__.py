"""`python -m maestro_engine`: the same as the console script."""

import sys

from maestro_engine.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
