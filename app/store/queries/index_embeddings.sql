select index_embeddings($1)
