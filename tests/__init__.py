"""The tests; a package, so that processes of tests find their functions whatever else is installed as `tests`."""
