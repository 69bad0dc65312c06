"""What is counted: buffers, networks, and how large they are."""
