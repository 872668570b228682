"""An adapter in other forms than its own folder."""
