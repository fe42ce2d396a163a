"""From a declaration to tasks: the part that both runtimes share. Law: no clock, no socket, no thread in here."""
