"""Text as Markdown."""

import re


def escaped(text: str) -> str:
  """Escapes the special characters of Markdown and replaces line breaks by spaces."""
  return re.sub(r'([\\`*\[\]<>|#~&])', r'\\\1', ' '.join(text.split()))
