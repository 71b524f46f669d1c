"""Training with callbacks, checkpoints and run directories."""
