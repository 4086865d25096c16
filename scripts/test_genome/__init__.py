"""The parts of the small test genome that ``scripts/make_test_genome.py`` puts together."""
