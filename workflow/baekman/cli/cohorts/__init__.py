"""Commands of ``baekman cohort`` in modules of their own."""
