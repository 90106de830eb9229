"""What language models are asked, as versioned data."""
