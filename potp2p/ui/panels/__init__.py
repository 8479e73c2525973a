"""Pictures of one part of the status each: `render(...)` returns lines of exact width."""
