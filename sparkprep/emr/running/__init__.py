"""Clusters that run: asked, followed, and what they leave."""
