"""What the tests share: the oracle, examples, and ways to run and break things."""
