"""What a person with a model uses: prepare, submit, watch and fetch."""
