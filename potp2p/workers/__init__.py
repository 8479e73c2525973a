"""One training process per device: start, frames, deadlines, bounded restarts."""
