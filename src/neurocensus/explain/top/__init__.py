"""Maximum activation: the inputs that activate each unit of a model most, found, kept and shown."""
