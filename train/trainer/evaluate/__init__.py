"""What a model can do: HellaSwag."""
