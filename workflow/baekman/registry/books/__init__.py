"""The books of research projects: participant to project ID, date shift and record key, drawn once and sealed."""
