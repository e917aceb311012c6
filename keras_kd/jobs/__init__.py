"""What the commands do, as functions that Python users call too."""
