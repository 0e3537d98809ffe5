// Empty as yet: its parts follow.
