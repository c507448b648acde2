"""What the entry points do once their command line is read: apart from them, so that Python can call it too."""
