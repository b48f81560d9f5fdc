"""One module per subcommand: `prepare_parser` and `run`."""
