"""The parts of the small test genome, which ``scripts/make_test_genome.py`` puts together."""
