"""Parts that commands share: their mounting, the opening of a cohort, the words for a failure."""
