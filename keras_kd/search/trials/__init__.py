"""One trial: its student, its Distiller, its training."""
