"""What the commands do; imported when a command runs, so that a quick one stays quick."""
