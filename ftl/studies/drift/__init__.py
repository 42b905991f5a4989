"""What drift handling does, with and without: re-basing, smoothing and thresholds that follow a node."""
