"""AWS's interface: what it knows, who asks it, what it answers."""
