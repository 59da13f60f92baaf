"""The ops: one file is one dialect, one class is one op with its whole meaning."""
