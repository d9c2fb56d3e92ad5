"""How Palimpsest's own model is made: text -> tokenizer -> tasks -> training -> evaluation -> Hugging Face folder."""
