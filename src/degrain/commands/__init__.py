"""The subcommands of `degrain`, a file each."""
