"""Reports of an evaluation: an HTML page, Markdown for a pull request, and their published JSON schema."""
