"""What a model and its data do by frequency: spectra, dominant frequencies, heat maps."""
