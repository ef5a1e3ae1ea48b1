"""`python -m genloom`, and `torchrun -m genloom` for several processes."""

from genloom.cli.app import main

if __name__ == "__main__":
    main()
