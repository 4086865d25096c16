"""What the examination of a delivered file looks at beyond its format: who wrote which read, and what a header asks."""
