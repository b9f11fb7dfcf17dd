"""Python tasks in an executor: their functions and modules, inputs, what they return and how they fail."""
