"""The registry of participants, specimens and consent: the only link from an institution's labels to pseudonyms."""
