"""`python -m tensorcast.cli` is `tensorcast`."""

from . import main

if __name__ == "__main__":
    main()
