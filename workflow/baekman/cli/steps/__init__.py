"""Steps of the workflow with a module of their own; ``cli.step`` has the others."""
