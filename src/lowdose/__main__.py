"""Entry point of ``python -m lowdose``, for launchers that start modules."""

from lowdose.cli import main

if __name__ == "__main__":
    main()
