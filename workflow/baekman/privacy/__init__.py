"""The search for identifiers of persons."""
