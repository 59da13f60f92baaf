"""The kdsl command; every subcommand is imported only when it runs."""
