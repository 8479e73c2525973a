"""Who earns what: scores of a round, lottery weights, the draw of authors, the split of pay."""
