"""The Hugging Face Hub: its repositories and its errors."""
