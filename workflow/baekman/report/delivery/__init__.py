"""The report on one delivery: its numbers (JSON), its figures and its page."""
