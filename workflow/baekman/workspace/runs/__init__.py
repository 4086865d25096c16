"""Records that runs of the workflow leave in the folder of a delivery."""
