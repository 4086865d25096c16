"""The dossier of a release: one page for reviewers, in Korean and English."""
