"""The command potp2p: parse, call, exit code."""
