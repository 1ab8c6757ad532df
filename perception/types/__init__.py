"""The nouns of the package: messages, samples, outputs, and what is known of each kind as data."""
