"""A folder and a (model, tokenizer), both ways: Hugging Face's layout, strict, atomic, no pickle ever executed."""
