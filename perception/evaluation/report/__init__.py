"""An evaluation as people read it: `page.html_page`, one self-contained file; `markdown.markdown`, for a pull
request; and `schema`, the published JSON behind both."""
