"""The stages of a topology as pure agents: records and the time in, writes out."""
