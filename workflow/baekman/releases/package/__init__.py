"""The package of a release: its files, the signed manifest that names them, and its later manifests."""
