"""`python -m kazoo_tasks` is the console script."""

from kazoo_tasks.cli.main import main

if __name__ == "__main__":
    main()
