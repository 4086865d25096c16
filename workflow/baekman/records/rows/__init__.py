"""Rows of records as arrays: their order, the days that they cover, corrections, and what consent allows."""
