"""What LMTP has to stand: what SMTP has, with LHLO."""
from .smtp import table

ROWS = table("lmtp")
