"""What an index says, as pages for people: files to keep, and a server on this machine."""
