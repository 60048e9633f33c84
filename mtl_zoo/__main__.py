"""`python -m mtl_zoo`, and the console script `mtl-zoo`."""

import sys

from mtl_zoo.command_line import main as cli


def main():
    """Run the command line and exit."""
    sys.exit(cli.main(sys.argv[1:]))


if __name__ == "__main__":
    main()
