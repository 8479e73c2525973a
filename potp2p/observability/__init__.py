"""What a node tells the outside about itself; it observes and never decides."""
