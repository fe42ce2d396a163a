"""What the tests share. Law: it checks streamml with the clients of others, never with streamml's own."""
