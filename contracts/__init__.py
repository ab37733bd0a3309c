"""The contract checks that a gate runs, as pytest tests: a case per rule, named after the rule."""
