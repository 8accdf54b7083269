"""The command lines. Each is a module with a `COMMAND`, listed in the table of `main.py`."""
