"""What a worker process computes. The only home of torch; it owns no socket."""
