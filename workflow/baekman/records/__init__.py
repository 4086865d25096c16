"""Records: dated facts about participants, and the days that each source has seen."""
