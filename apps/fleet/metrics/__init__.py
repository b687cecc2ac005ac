"""What engines and GPUs say of themselves: scraped, kept by the minute, drawn."""
