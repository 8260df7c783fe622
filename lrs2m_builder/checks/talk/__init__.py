"""Talk that is no caption: refusals, preambles, talk of the hint or of the text itself, guesses."""
