"""The command `data`, whose subcommands are the modules of this folder that have a `COMMAND`."""
