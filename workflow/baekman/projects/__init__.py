"""Research projects: their description, the keys and decisions of reviewers, and signatures."""
