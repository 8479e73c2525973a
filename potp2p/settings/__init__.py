"""The operator's files: configuration, folders and keys."""
