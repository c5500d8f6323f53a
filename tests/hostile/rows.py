"""The shape of a row of the tables beside this file.

A row is what a hostile or broken peer does and what has to be seen then:
  state   how far the conversation is before (see ENTER in tests/e2e/hostile_input.py)
  name    unique within the table
  send    octets, or a list of octets and Wait(regex): what is sent, and what is waited for in between
  see     a regular expression that fits somewhere in everything the server says from there on; b"" for nothing particular
  fate    STAYS: the next good command is answered; CLOSES: the server closes; EITHER
  never   a regular expression that must not fit anywhere
"""
from collections import namedtuple

STAYS, CLOSES, EITHER = "stays", "closes", "either"


class Wait(bytes):
    """Octets that are a regular expression to wait for."""


Row = namedtuple("Row", "state name send see fate never", defaults=(b"", STAYS, None))
