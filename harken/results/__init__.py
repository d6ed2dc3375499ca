"""Published results, repeated: recipes are found, run step by step, kept, and put on a page."""
