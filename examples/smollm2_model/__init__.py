"""What ``examples/smollm2.py`` is made of: weights, tokenizer, model, and the ops it runs on."""
