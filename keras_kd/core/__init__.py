"""Floor 0: checks and their wording, atomic files, optional imports, taps."""
